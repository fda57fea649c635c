import type { GraphProto, NodeProto, TensorProto } from 'onnx-buf';
import { UnsupportedModelError } from '../errors.ts';
import { subgraphsOf, tensorAttribute } from './attributes.ts';

/** One use of a value: `node.input[index]`. */
export interface Use { readonly node: NodeProto; readonly index: number }

/** How a message names a node: its own name, or its operator and first output. */
export const nodeLabel = (node: NodeProto): string => (node.name ? `${node.name} (${node.opType})` : `${node.opType} -> ${node.output[0] ?? '?'}`);

/** Who makes and who reads every value of a graph: an index built once over a GraphProto, to be rebuilt after surgery. */
export class GraphView {
  readonly graph: GraphProto;
  /** Nodes in a topological order (the file's own order where that is one, as ONNX requires). */
  readonly nodes: readonly NodeProto[];
  readonly producers = new Map<string, NodeProto>();
  /** Uses by nodes of this graph; `capturedBySubgraphs` has the rest. */
  readonly uses = new Map<string, Use[]>();
  /** Outer values that a node's subgraphs read, by value name. */
  readonly capturedBySubgraphs = new Map<string, NodeProto[]>();
  readonly initializers = new Map<string, TensorProto>();
  /** Initializers and outputs of Constant nodes with a tensor value. An initializer that is also a graph input is a default and not constant. */
  readonly constants = new Map<string, TensorProto>();
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];

  /** @throws {UnsupportedModelError} for a value with two producers, or a cycle */
  constructor(graph: GraphProto) {
    this.graph = graph;
    for (const tensor of graph.initializer) this.initializers.set(tensor.name, tensor);
    const given = new Set(graph.input.map((input) => input.name));
    for (const [name, tensor] of this.initializers) if (!given.has(name)) this.constants.set(name, tensor);
    this.inputs = graph.input.map((input) => input.name).filter((name) => !this.initializers.has(name));
    this.outputs = graph.output.map((output) => output.name);
    for (const node of graph.node) {
      for (const output of node.output) {
        if (output === '') continue;
        if (this.producers.has(output)) throw new UnsupportedModelError(`Two nodes write the value "${output}"; the model is not valid ONNX.`);
        this.producers.set(output, node);
      }
      node.input.forEach((value, index) => { if (value !== '') push(this.uses, value, { node, index }); });
      for (const value of capturedValues(node)) push(this.capturedBySubgraphs, value, node);
      const tensor = node.opType === 'Constant' ? tensorAttribute(node, 'value') : undefined;
      if (tensor && node.output[0]) this.constants.set(node.output[0], tensor);
    }
    this.nodes = this.topologicalOrder();
  }

  usesOf(value: string): readonly Use[] { return this.uses.get(value) ?? []; }
  isOutput(value: string): boolean { return this.outputs.includes(value); }

  private topologicalOrder(): NodeProto[] {
    const waiting = new Map<NodeProto, number>();
    const ready: NodeProto[] = [], order: NodeProto[] = [];
    const dependants = new Map<NodeProto, NodeProto[]>();
    for (const node of this.graph.node) {
      const sources = new Set([...node.input, ...capturedValues(node)].map((value) => this.producers.get(value)).filter((source) => source !== undefined));
      waiting.set(node, sources.size);
      for (const source of sources) push(dependants, source, node);
    }
    for (const node of this.graph.node) if (waiting.get(node) === 0) ready.push(node);
    const position = new Map(this.graph.node.map((node, i) => [node, i]));
    const sorted = this.graph.node.every((node) => [...node.input, ...capturedValues(node)].every((value) => {
      const source = this.producers.get(value);
      return source === undefined || position.get(source)! < position.get(node)!;
    }));
    if (sorted) return [...this.graph.node];
    for (let head = 0; head < ready.length; head++) {
      const node = ready[head]!;
      order.push(node);
      for (const next of dependants.get(node) ?? []) {
        const left = waiting.get(next)! - 1;
        waiting.set(next, left);
        if (left === 0) ready.push(next);
      }
    }
    if (order.length < this.graph.node.length) {
      const stuck = this.graph.node.find((node) => waiting.get(node)! > 0)!;
      throw new UnsupportedModelError(`The graph has a cycle through ${nodeLabel(stuck)}; the model is not valid ONNX.`);
    }
    return order;
  }
}

function push<K, V>(map: Map<K, V[]>, key: K, value: V): void {
  const list = map.get(key);
  if (list) list.push(value); else map.set(key, [value]);
}

/** Names that a node's subgraphs read from the graphs around them, each once. */
export function capturedValues(node: NodeProto): string[] {
  const subgraphs = subgraphsOf(node);
  if (subgraphs.length === 0) return [];
  const captured = new Set<string>();
  for (const graph of subgraphs) {
    const own = new Set([...graph.input.map((v) => v.name), ...graph.initializer.map((t) => t.name), ...graph.node.flatMap((n) => n.output)]);
    for (const inner of graph.node) for (const value of [...inner.input, ...capturedValues(inner)]) if (value !== '' && !own.has(value)) captured.add(value);
    for (const output of graph.output) if (!own.has(output.name)) captured.add(output.name);
  }
  return [...captured];
}
