import { create } from '@bufbuild/protobuf';
import { type GraphProto, type ModelProto, type NodeProto, type TensorProto, ValueInfoProtoSchema } from 'onnx-buf';
import { subgraphsOf } from '../onnx/attributes.ts';
import { copyOf } from '../onnx/copyOf.ts';
import { GraphView } from '../onnx/graphView.ts';
import { dimsOf, floatTensor, isFloatTensor } from '../onnx/tensor.ts';
import { Session } from '../runtime/session.ts';
import { runShapes } from '../runtime/shapes.ts';

type Model = ModelProto & { graph: GraphProto };

/** Weights that the graph computes from constants, and the part of the graph that does. */
export interface FoldedWeights { readonly tensors: readonly TensorProto[]; readonly region: GraphView; readonly shapes: ReadonlyMap<string, readonly number[]> }

/** Operators that mix the positions of an axis: pruning what they read would change what they make of the rest. */
const mixing = /^(Reduce\w+|\w*Normalization|Softmax|Scatter\w+)$/;

/** Values that depend on constants alone. */
export function constantDerived(view: GraphView): ReadonlySet<string> {
  const derived = new Set(view.constants.keys());
  for (const node of view.nodes) {
    if (node.input.length > 0 && subgraphsOf(node).length === 0 && node.input.every((value) => value === '' || derived.has(value))) for (const value of node.output) derived.add(value);
  }
  return derived;
}

/** The nodes that values are computed by. */
function regionOf(view: GraphView, values: readonly string[]): ReadonlySet<NodeProto> {
  const nodes = new Set<NodeProto>(), open = [...values];
  for (let name = open.pop(); name !== undefined; name = open.pop()) {
    const node = view.producers.get(name);
    if (!node || nodes.has(node)) continue;
    nodes.add(node);
    open.push(...node.input.filter((input) => input !== ''));
  }
  return nodes;
}

/** Whether nodes mix the positions of a parameter; masks and tables made of nothing are not worth storing. */
function isComputedWeight(view: GraphView, region: ReadonlySet<NodeProto>): boolean {
  const isParameter = (name: string): boolean => { const tensor = view.initializers.get(name); return tensor !== undefined && isFloatTensor(tensor) && dimsOf(tensor).some((size) => size > 1); };
  return [...region].some(({ opType }) => mixing.test(opType)) && [...region].some(({ input }) => input.some(isParameter));
}

/**
 * Weights that are standardised, normalised or overwritten in part inside the graph (weight standardisation, Qiao et al. 2019), computed once:
 * as constants they can be pruned along both axes, which their normalisation would forbid.
 */
export async function foldWeights(model: Model): Promise<FoldedWeights | undefined> {
  const { graph } = model, view = new GraphView(graph), derived = constantDerived(view);
  if (!view.nodes.some(({ opType, output }) => mixing.test(opType) && derived.has(output[0] ?? ''))) return undefined;
  const read = new Set(view.nodes.filter((node) => node.output.some((value) => !derived.has(value))).flatMap(({ input }) => input));
  const values = [...derived].filter((value) => read.has(value) && !view.constants.has(value) && !view.isOutput(value)
    && isComputedWeight(view, regionOf(view, [value])));
  if (values.length === 0) return undefined;
  const nodes = regionOf(view, values), names = new Set([...nodes].flatMap(({ input }) => input));
  const region: Model = copyOf(model, { graph: copyOf(graph, {
    node: view.nodes.filter((node) => nodes.has(node)), input: [], output: values.map((name) => create(ValueInfoProtoSchema, { name })), valueInfo: [],
    initializer: graph.initializer.filter(({ name }) => names.has(name)),
  }) });
  const session = await Session.create(region);
  const results = await session.run({}).finally(() => session.release());
  const tensors = values.flatMap((value) => { const { data, dims } = results[value]!; return data instanceof Float32Array ? [floatTensor(value, dims, data)] : []; });
  const regionView = new GraphView(region.graph);
  return { tensors, region: regionView, shapes: (await runShapes(region, regionView, {})).shapes };
}

/** The model with folded weights as initializers, without the nodes and initializers that only served to compute them. */
export function withFolded(model: Model, folded: FoldedWeights | undefined): Model {
  if (!folded) return model;
  const { graph } = model, view = new GraphView(graph), names = new Set(folded.tensors.map(({ name }) => name));
  const live = new Set([...view.outputs, ...view.capturedBySubgraphs.keys()]);
  const kept = view.nodes.toReversed().filter((node) => {
    const needed = node.output.some((value) => live.has(value) && !names.has(value));
    if (needed) for (const value of node.input) live.add(value);
    return needed;
  }).reverse();
  const inputs = new Set(graph.input.map(({ name }) => name));
  const initializer = graph.initializer.filter(({ name }) => live.has(name) || inputs.has(name));
  return copyOf(model, { graph: copyOf(graph, { node: kept, initializer: [...initializer, ...folded.tensors] }) });
}
