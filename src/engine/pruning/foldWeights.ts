import type { GraphProto, ModelProto, NodeProto, TensorProto } from 'onnx-buf';
import { subgraphsOf } from '../onnx/attributes.ts';
import { GraphView } from '../onnx/graphView.ts';
import { elementCount, floatTensor } from '../onnx/tensor.ts';
import { Session } from '../runtime/session.ts';
import { runShapes } from '../runtime/shapes.ts';
import { copyOf } from './unshare.ts';

type Model = ModelProto & { graph: GraphProto };

/** A weight that the graph computes from constants, and the part of the graph that does. */
export interface FoldedWeight { readonly tensor: TensorProto; readonly region: Model; readonly shapes: ReadonlyMap<string, readonly number[]> }

/** Operators that mix the positions of an axis: pruning what they read would change what they make of the rest. */
const mixing = /^(Reduce\w+|\w*Normalization|Softmax|LpNormalization)$/;

/** Values that depend on constants alone. */
export function constantDerived(view: GraphView): ReadonlySet<string> {
  const derived = new Set(view.constants.keys());
  for (const node of view.nodes) {
    if (node.input.length > 0 && subgraphsOf(node).length === 0 && node.input.every((value) => value === '' || derived.has(value))) for (const value of node.output) derived.add(value);
  }
  return derived;
}

/** The nodes that a value is computed by, in order. */
function regionOf(view: GraphView, value: string): NodeProto[] {
  const nodes = new Set<NodeProto>(), open = [value];
  for (let name = open.pop(); name !== undefined; name = open.pop()) {
    const node = view.producers.get(name);
    if (!node || nodes.has(node)) continue;
    nodes.add(node);
    open.push(...node.input.filter((input) => input !== ''));
  }
  return view.nodes.filter((node) => nodes.has(node));
}

/**
 * Weights that are standardised or normalised inside the graph (as weight standardisation, Qiao et al. 2019, is exported), computed once:
 * as constants they can be pruned along both axes, which their normalisation would forbid.
 */
export async function foldWeights(model: Model): Promise<FoldedWeight[]> {
  const view = new GraphView(model.graph), derived = constantDerived(view);
  const read = new Set(view.nodes.filter((node) => node.output.some((value) => !derived.has(value))).flatMap(({ input }) => input));
  const found: FoldedWeight[] = [];
  for (const value of derived) {
    if (!read.has(value) || view.constants.has(value) || view.isOutput(value)) continue;
    const nodes = regionOf(view, value);
    if (!nodes.some(({ opType }) => mixing.test(opType))) continue;
    const names = new Set(nodes.flatMap(({ input }) => input));
    const region: Model = copyOf(model, { graph: copyOf(model.graph, {
      node: nodes, input: [], output: model.graph.output.slice(0, 1).map((output) => copyOf(output, { name: value })), valueInfo: [],
      initializer: model.graph.initializer.filter(({ name }) => names.has(name)),
    }) });
    Reflect.deleteProperty(region.graph.output[0]!, 'type');
    const session = await Session.create(region);
    const { [value]: result } = await session.run({}).finally(() => session.release());
    if (!(result?.data instanceof Float32Array) || elementCount(result.dims) === 0) continue;
    const { shapes } = await runShapes(region, new GraphView(region.graph), {});
    found.push({ tensor: floatTensor(value, result.dims, result.data), region, shapes });
  }
  return found;
}

/** The model with folded weights as initializers, without the nodes and initializers that only served to compute them. */
export function withFolded(model: Model, folded: readonly FoldedWeight[]): Model {
  if (folded.length === 0) return model;
  const { graph } = model, view = new GraphView(graph), names = new Set(folded.map(({ tensor }) => tensor.name));
  const live = new Set(view.outputs);
  const kept = view.nodes.toReversed().filter((node) => {
    const needed = node.output.some((value) => live.has(value) && !names.has(value));
    if (needed) for (const value of [...node.input, ...view.capturedBySubgraphs.keys()]) live.add(value);
    return needed;
  }).reverse();
  const inputs = new Set(graph.input.map(({ name }) => name));
  const initializer = graph.initializer.filter(({ name }) => live.has(name) || inputs.has(name));
  return copyOf(model, { graph: copyOf(graph, { node: kept, initializer: [...initializer, ...folded.map(({ tensor }) => tensor)] }) });
}
