import type { GraphProto, ModelProto, NodeProto, TensorProto } from 'onnx-buf';
import { buildModel, valueInfo } from '../onnx/buildModel.ts';
import type { GraphView} from '../onnx/graphView.ts';
import { capturedValues } from '../onnx/graphView.ts';
import { dataTypeOf } from './elementTypes.ts';
import { Session, type SessionOptions, type Tensor } from './session.ts';

/**
 * A network that is run piece by piece over a set of images, keeping only the values that later pieces need, so that weights may be
 * changed between the pieces: each node runs exactly once, with the weights it has at that moment.
 */
export class StagedNetwork {
  /** Weights by name; replace one before the node that reads it has run. */
  readonly initializers: Map<string, TensorProto>;
  private readonly view: GraphView;
  private readonly model: ModelProto & { graph: GraphProto };
  private readonly options: SessionOptions;
  /** Live values, one tensor a chunk of images. */
  private readonly values = new Map<string, Tensor[]>();
  private readonly waiting: Set<NodeProto>;
  private readonly feeds: Readonly<Record<string, Tensor[]>>;
  private chunks: number;
  private readonly position: ReadonlyMap<NodeProto, number>;
  /** Nodes that depend on no graph input: cheap, and run again wherever they are needed. */
  private readonly constantNodes = new Set<NodeProto>();

  /**
   * @param feeds for every graph input, one tensor a chunk; all chunks have the same number of images
   * @param chunks how many of them to begin with
   */
  constructor(model: ModelProto & { graph: GraphProto }, view: GraphView, feeds: Readonly<Record<string, Tensor[]>>, options: SessionOptions = {}, chunks = Object.values(feeds)[0]!.length) {
    this.model = model;
    this.view = view;
    this.options = options;
    this.initializers = new Map(view.initializers);
    this.feeds = feeds;
    this.chunks = chunks;
    for (const [name, tensors] of Object.entries(feeds)) this.values.set(name, tensors.slice(0, chunks));
    this.position = new Map(view.nodes.map((node, i) => [node, i]));
    const varying = new Set(view.inputs);
    for (const node of view.nodes) {
      if ([...node.input, ...capturedValues(node)].some((value) => varying.has(value))) node.output.forEach((value) => varying.add(value));
      else this.constantNodes.add(node);
    }
    this.waiting = new Set(view.nodes.filter((node) => !this.constantNodes.has(node)));
  }

  /** Runs what has not run yet and is needed for these values. @returns for each value its tensors by chunk */
  async advance(names: readonly string[]): Promise<Tensor[][]> {
    const missing = names.filter((name) => !this.values.has(name));
    if (missing.length > 0) await this.runFor(missing);
    return names.map((name) => this.values.get(name)!);
  }

  /** Takes in more chunks: what has run so far runs for them as well, with the weights that it had. */
  async admit(chunks: number): Promise<void> {
    const from = this.chunks, live = [...this.values.keys()], made = live.filter((name) => !(name in this.feeds));
    if (chunks <= from) return;
    this.chunks = chunks;
    const added = Object.fromEntries(Object.entries(this.feeds).map(([name, tensors]) => [name, tensors.slice(from, chunks)]));
    for (const name of live) if (name in this.feeds) this.values.get(name)!.push(...added[name]!);
    if (made.length === 0) return;
    const results = await this.run(this.ancestors(made, (value) => value in this.feeds), made, added, chunks - from);
    made.forEach((name, i) => this.values.get(name)!.push(...results[i]!));
  }

  private async runFor(names: readonly string[]): Promise<void> {
    const nodes = this.ancestors(names, (value) => this.values.has(value));
    const made = new Set(nodes.flatMap((node) => node.output));
    for (const node of nodes) this.waiting.delete(node);
    const outputs = [...made].filter((value) => value !== '' && (names.includes(value) || this.isNeeded(value)) && !(this.constantNodes.has(this.view.producers.get(value)!) && !names.includes(value)));
    const results = await this.run(nodes, outputs, Object.fromEntries(this.values), this.chunks);
    outputs.forEach((value, i) => this.values.set(value, results[i]!));
    for (const value of [...this.values.keys()]) if (!names.includes(value) && !this.isNeeded(value)) this.values.delete(value);
  }

  /** Runs nodes on chunks of what they read. @returns for each output its tensors by chunk */
  private async run(nodes: readonly NodeProto[], outputs: readonly string[], given: Readonly<Record<string, Tensor[]>>, chunks: number): Promise<Tensor[][]> {
    const made = new Set(nodes.flatMap((node) => node.output)), used = new Set(nodes.flatMap((node) => [...node.input, ...capturedValues(node)]));
    const inputs = [...used].filter((value) => value !== '' && !made.has(value) && !this.initializers.has(value));
    const session = await Session.create(buildModel({
      nodes: [...nodes].sort((a, b) => this.position.get(a)! - this.position.get(b)!),
      inputs: inputs.map((value) => valueInfo(value, commonDims(given[value]!, value), dataTypeOf(given[value]![0]!.type))),
      outputs: outputs.map((value) => ({ ...valueInfo(value), type: undefined }) as never),
      initializers: [...used].map((name) => this.initializers.get(name)).filter((tensor) => tensor !== undefined),
      opsetImport: this.model.opsetImport,
    }), this.options);
    try {
      const results = outputs.map((): Tensor[] => []);
      for (let chunk = 0; chunk < chunks; chunk++) {
        const result = await session.run(Object.fromEntries(inputs.map((value) => [value, given[value]![chunk]!])), outputs);
        outputs.forEach((value, i) => results[i]!.push(result[value]!));
      }
      return results;
    } finally {
      await session.release();
    }
  }

  /** Nodes that must run before the named values exist, where some values are known. */
  private ancestors(names: readonly string[], known: (value: string) => boolean): NodeProto[] {
    const found = new Set<NodeProto>();
    const pending = [...names];
    for (let value = pending.pop(); value !== undefined; value = pending.pop()) {
      if (known(value)) continue;
      const node = this.view.producers.get(value);
      if (!node || found.has(node)) continue;
      found.add(node);
      pending.push(...node.input, ...capturedValues(node));
    }
    return [...found];
  }

  private isNeeded(value: string): boolean {
    return this.view.usesOf(value).some(({ node }) => this.waiting.has(node)) || (this.view.capturedBySubgraphs.get(value) ?? []).some((node) => this.waiting.has(node));
  }
}

/** The sizes that all chunks of a value share; where they differ, as the data make them (NonZero), an open one by the name of the value and the axis. */
const commonDims = (chunks: readonly Tensor[], value: string): (number | string)[] => chunks[0]!.dims.map((dim, axis) => (chunks.every(({ dims }) => dims[axis] === dim) ? dim : `${value} ${axis}`));
