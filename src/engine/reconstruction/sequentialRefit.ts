import type { GraphProto, ModelProto, TensorProto } from 'onnx-buf';
import { GraphView } from '../onnx/graphView.ts';
import { valueInfo } from '../onnx/buildModel.ts';
import { dimsOf, floatTensor, isFloatTensor, withFloats } from '../onnx/tensor.ts';
import { KeptPositions } from '../pruning/keptPositions.ts';
import type { Analysis, KeptUnits, Layer } from '../pruning/types.ts';
import { Session, type SessionOptions, type Tensor } from '../runtime/session.ts';
import { runShapes } from '../runtime/shapes.ts';
import { StagedNetwork } from '../runtime/stagedNetwork.ts';
import { type RowLayout, columnsOf, inputRows, outputRows, rowLayout, samplePositions } from './layerRows.ts';
import { fitSparse } from './fitSparse.ts';
import { tensorsFromMatrices, weightMatrices } from './layerWeights.ts';
import { type RegressionChunk, fitWeights } from './leastSquares.ts';
import { outputSink } from './outputSink.ts';

type Model = ModelProto & { graph: GraphProto };

export interface RefitOptions {
  /** Activation-aware rounds after the first fit of each layer. */
  readonly rounds: number;
  /** Pull towards the weights before, relative to the mean diagonal of the Gram matrix. */
  readonly ridge: number;
  /** Whether grouped and depthwise convolutions are refitted as well: many small regressions for a small gain. */
  readonly grouped: boolean;
  /** Share of the weights that stay, for layers that are pruned weight by weight, by the name of their weight. */
  readonly densities?: ReadonlyMap<string, number>;
  readonly signal?: AbortSignal;
}

/** A layer to refit, with what of it does not depend on the candidate. */
interface RefitLayer {
  readonly layer: Layer;
  readonly layout: RowLayout;
  readonly target: string;
  readonly residual: string | undefined;
  /** Sampled output positions and the original network's target there ([rows, channels]), by chunk of images. */
  readonly sampled: readonly Int32Array[];
  readonly wanted: Float32Array[];
}

/**
 * Sequential least-squares reconstruction (He, Zhang, Sun 2017): layers are refitted from input to output; inputs come from the network as
 * pruned and refitted so far, targets from the original network. Where a layer's output is added to a shortcut, the target is the
 * original sum less the pruned shortcut. Unpruned layers behind pruned ones are refitted as well.
 */
export class SequentialRefit {
  private readonly feeds: Readonly<Record<string, Tensor[]>>;
  private readonly layers: readonly RefitLayer[];
  private readonly analysis: Analysis;
  private readonly session: SessionOptions;

  private constructor(feeds: Readonly<Record<string, Tensor[]>>, layers: readonly RefitLayer[], analysis: Analysis, session: SessionOptions) {
    this.feeds = feeds;
    this.layers = layers;
    this.analysis = analysis;
    this.session = session;
  }

  /**
   * Runs the original network once over the calibration images and keeps its outputs at sampled positions.
   * @param feeds for every graph input, one tensor a chunk of images; chunks are equally long
   * @param points output positions looked at in each image @param session firstLayers: whether layers that read the graph's inputs are refitted as well, as they must be when they lose weights
   */
  static async prepare(model: Model, analysis: Analysis, feeds: Readonly<Record<string, Tensor[]>>, points: number, seed: number, session: SessionOptions & { readonly firstLayers?: boolean } = {}): Promise<SequentialRefit> {
    const view = new GraphView(model.graph);
    const chunkShapes = Object.fromEntries(Object.entries(feeds).map(([name, chunks]) => [name, chunks[0]!.dims]));
    const { shapes } = await runShapes(model, view, chunkShapes);
    const images = Object.values(chunkShapes)[0]![0]!, chunks = Object.values(feeds)[0]!.length;
    const order = refitOrder(view, analysis);
    const layers = order.layers.flatMap((layer, position): RefitLayer[] => {
      const weight = view.constants.get(layer.weight), output = shapes.get(layer.output), input = shapes.get(layer.input);
      if (!weight || !isFloatTensor(weight) || !output || !input || view.usesOf(layer.weight).length !== 1 || !(session.firstLayers || order.follows(layer))) return [];
      const layout = rowLayout(layer, input, output, dimsOf(weight));
      if (!layout || (layer.opType === 'MatMul' && layer.bias === '')) return [];
      const sink = outputSink(view, view.initializers, layer, layout.groups * layout.outs, (shortcut) => order.lastLayerBefore(shortcut) < position && sameShape(shapes.get(shortcut), output));
      const sampled = Array.from({ length: chunks }, (_, chunk) => samplePositions(layout.positions, images, points, seed + position * 7919 + chunk * 104729));
      return [{ layer, layout, target: sink.target, residual: sink.residual, sampled, wanted: [] }];
    });
    await captureTargets(model, layers, feeds, session);
    return new SequentialRefit(feeds, layers, analysis, session);
  }

  /**
   * The pruned model with every layer behind a pruned one refitted.
   * @param pruned the model after surgery with `kept`; its values have the names of the original's
   */
  async refit(pruned: Model, kept: KeptUnits, options: RefitOptions): Promise<Model> {
    const positions = new KeptPositions(this.analysis, kept), { axes } = this.analysis.structure.facts;
    const keptOf: KeptOf = (initializer, axis) => positions.of(axes.axis(initializer, axis));
    const { model, biases } = withBiases(pruned, this.layers.map(({ layer }) => layer));
    const view = new GraphView(model.graph);
    const network = new StagedNetwork(model, view, this.feeds, this.session);
    const images = Object.values(this.feeds)[0]![0]!.dims[0]!;
    let changed = false;
    for (const refit of this.layers) {
      options.signal?.throwIfAborted();
      changed ||= touches(keptOf, refit.layer) || (options.densities?.get(refit.layer.weight) ?? 1) < 1;
      if (!changed || (refit.layout.groups > 1 && !options.grouped)) continue;
      await this.refitLayer(refit, network, view, biases.get(refit.layer) ?? refit.layer.bias, keptOf, images, options);
    }
    const { initializers } = network;
    return { ...model, graph: { ...model.graph, initializer: model.graph.initializer.map((tensor) => initializers.get(tensor.name) ?? tensor) } };
  }

  private async refitLayer(refit: RefitLayer, network: StagedNetwork, view: GraphView, biasName: string, keptOf: KeptOf, images: number, options: RefitOptions): Promise<void> {
    const { layer, sampled, wanted } = refit;
    const weight = network.initializers.get(layer.weight);
    if (!weight) return;
    const layout = prunedLayout(refit.layout, layer, weight), columns = columnsOf(layout), { outs } = layout;
    const keptOut = keptOf(layer.weight, layer.outAxis);
    const prunedLayer = { ...layer, bias: biasName };
    const sink = outputSink(view, network.initializers, prunedLayer, layout.groups * outs, (shortcut) => shortcut === refit.residual);
    if (sink.target !== refit.target) return; // surgery changed what follows; leave the layer as it is
    const [inputs, residuals] = await network.advance([layer.input, ...(sink.residual === undefined ? [] : [sink.residual])]);
    const present = weightMatrices(prunedLayer, layout, weight, network.initializers.get(biasName));
    const groupChunks = present.map((): RegressionChunk[][] => []);
    const all = layout.groups * outs, channelsOf = (group: number): number[] | undefined => (layout.groups === 1 ? undefined : Array.from({ length: outs }, (_, o) => group * outs + o));
    inputs!.forEach((input, chunk) => {
      const target = pickColumns(wanted[chunk]!, refit.layout.groups * refit.layout.outs, keptOut);
      const residual = residuals && outputRows(layout, residuals[chunk]!.data as Float32Array, images, sampled[chunk]!);
      inputRows(layout, input.data as Float32Array, images, sampled[chunk]!).forEach((rows, group) => {
        const part = { inputs: rows, target: pickColumns(target, all, channelsOf(group)), ...(residual ? { residual: pickColumns(residual, all, channelsOf(group)) } : {}) };
        const blocks = groupChunks[group]!, last = blocks.at(-1);
        if (last && last.reduce((sum, each) => sum + each.inputs.length, 0) + rows.length <= blockRows * columns) last.push(part); else blocks.push([part]);
      });
    });
    const fitted: Float32Array[] = [];
    for (const [group, blocks] of groupChunks.entries()) {
      const { scale, shift, low, high } = sink.transform, from = group * outs, chunks = blocks.map(joined), density = options.densities?.get(layer.weight) ?? 1;
      const transform = { scale: scale.subarray(from, from + outs), shift: shift.subarray(from, from + outs), low, high };
      fitted.push(density < 1 ? await fitSparse(chunks, columns, outs, present[group]!, transform, { ...options, density }) : await fitWeights(chunks, columns, outs, present[group]!, transform, { ...options, bias: true }));
    }
    const tensors = tensorsFromMatrices(prunedLayer, layout, fitted, weight, biasName);
    if (![tensors.weight, tensors.bias].every(isFinite)) return;
    network.initializers.set(layer.weight, tensors.weight);
    const bias = network.initializers.get(biasName)!;
    network.initializers.set(biasName, { ...tensors.bias, dims: bias.dims });
  }
}

/** Rows of a regression that are multiplied at once. */
const blockRows = 4096;

/** Chunks of rows as one. */
function joined(chunks: readonly RegressionChunk[]): RegressionChunk {
  if (chunks.length === 1) return chunks[0]!;
  const concat = (parts: readonly Float32Array[]): Float32Array => {
    const out = new Float32Array(parts.reduce((sum, part) => sum + part.length, 0));
    parts.reduce((at, part) => { out.set(part, at); return at + part.length; }, 0);
    return out;
  };
  const residuals = chunks.flatMap(({ residual }) => residual ?? []);
  return { inputs: concat(chunks.map(({ inputs }) => inputs)), target: concat(chunks.map(({ target }) => target)), ...(residuals.length > 0 ? { residual: concat(residuals) } : {}) };
}

const isFinite = (tensor: TensorProto): boolean => !new Float32Array(tensor.rawData.buffer, tensor.rawData.byteOffset, tensor.rawData.length / 4).some((value) => !Number.isFinite(value));
const sameShape = (a: readonly number[] | undefined, b: readonly number[]): boolean => a !== undefined && a.length === b.length && a.every((dim, i) => dim === b[i]);

/** Whether the candidate removes anything from the layer's own weight. */
const touches = (keptOf: KeptOf, layer: Layer): boolean => [0, 1].some((axis) => keptOf(layer.weight, axis) !== undefined);

/** Kept positions of an axis of a constant tensor; undefined where all stay. */
type KeptOf = (initializer: string, axis: number) => ArrayLike<number> | undefined;

function prunedLayout(layout: RowLayout, layer: Layer, weight: TensorProto): RowLayout {
  const dims = dimsOf(weight);
  if (!layout.gather) return { ...layout, channels: dims[layer.inAxis]!, outs: dims[layer.outAxis]! };
  const groups = layout.groups === 1 ? 1 : layout.channels === dims[1] ? dims[0]! / layout.outs : layout.groups; // whole groups went, or the same positions of each
  return { ...layout, groups, channels: dims[1]!, outs: dims[0]! / groups };
}

/** Chosen columns of a row-major matrix; the matrix itself when all are wanted. */
function pickColumns(matrix: Float32Array, width: number, columns: ArrayLike<number> | undefined): Float32Array {
  if (!columns) return matrix;
  const rows = matrix.length / width, out = new Float32Array(rows * columns.length);
  let to = 0;
  for (let row = 0; row < rows; row++) for (let i = 0; i < columns.length; i++) out[to++] = matrix[row * width + columns[i]!]!;
  return out;
}

/** Layers from input to output: by the longest path in layers, so that a downsampling shortcut comes before the end of its block. */
function refitOrder(view: GraphView, analysis: Analysis): { layers: Layer[]; follows(layer: Layer): boolean; lastLayerBefore(value: string): number } {
  const byNode = new Map(analysis.layers.map((layer) => [layer.node.output[0]!, layer]));
  const depth = new Map<string, number>(), depths = new Map<Layer, number>();
  for (const node of view.nodes) {
    const layer = byNode.get(node.output[0] ?? '');
    const level = Math.max(0, ...node.input.map((value) => depth.get(value) ?? 0)) + (layer ? 1 : 0);
    node.output.forEach((value) => depth.set(value, level));
    if (layer) depths.set(layer, level);
  }
  const layers = [...depths.keys()].sort((a, b) => depths.get(a)! - depths.get(b)!);
  const position = new Map(layers.map((layer, i) => [layer, i])), last = new Map<string, number>();
  for (const node of view.nodes) {
    const layer = byNode.get(node.output[0] ?? '');
    const latest = Math.max(-1, ...node.input.map((value) => last.get(value) ?? -1), layer ? position.get(layer)! : -1);
    node.output.forEach((value) => last.set(value, latest));
  }
  return { layers, follows: (layer) => depths.get(layer)! > 1, lastLayerBefore: (value) => last.get(value) ?? -1 };
}

async function captureTargets(model: Model, layers: readonly RefitLayer[], feeds: Readonly<Record<string, Tensor[]>>, options: SessionOptions): Promise<void> {
  const names = [...new Set(layers.map(({ target }) => target))];
  if (names.length === 0) return;
  const session = await Session.create({ ...model, graph: { ...model.graph, output: names.map((name) => valueInfo(name)), valueInfo: [] } }, options);
  try {
    const chunks = Object.values(feeds)[0]!.length, images = Object.values(feeds)[0]![0]!.dims[0]!;
    for (let chunk = 0; chunk < chunks; chunk++) {
      const values = await session.run(Object.fromEntries(Object.entries(feeds).map(([name, tensors]) => [name, tensors[chunk]!])));
      for (const { layout, target, sampled, wanted } of layers) wanted.push(outputRows(layout, values[target]!.data as Float32Array, images, sampled[chunk]!));
    }
  } finally {
    await session.release();
  }
}

/** Gives every layer that has none a bias of zeros to be fitted (Conv and Gemm take it as their third input). */
function withBiases(model: Model, layers: readonly Layer[]): { model: Model; biases: ReadonlyMap<Layer, string> } {
  const needing = new Map(layers.filter((layer) => layer.bias === '' && (layer.opType === 'Conv' || layer.opType === 'Gemm')).map((layer) => [layer.node.output[0]!, layer]));
  const biases = new Map<Layer, string>(), added: TensorProto[] = [];
  const initializers = new Map(model.graph.initializer.map((tensor) => [tensor.name, tensor]));
  const node = model.graph.node.map((old) => {
    const layer = needing.get(old.output[0] ?? ''), weight = layer && initializers.get(layer.weight);
    if (!layer || !weight) return old;
    const name = `${layer.weight}/auto-compress:bias`, outs = Number(weight.dims[layer.outAxis]!);
    added.push(withFloats({ ...floatTensor(name, [outs], new Float32Array(outs)), dataType: weight.dataType }, [outs], new Float32Array(outs)));
    biases.set(layer, name);
    return { ...old, input: [old.input[0]!, old.input[1]!, name] };
  });
  return { model: { ...model, graph: { ...model.graph, node, initializer: [...model.graph.initializer, ...added] } }, biases };
}
