import { type GraphProto, type ModelProto, type NodeProto, NodeProtoSchema, type TensorProto } from 'onnx-buf';
import { clone } from '@bufbuild/protobuf';
import { copyOf } from '../onnx/copyOf.ts';
import { GraphView } from '../onnx/graphView.ts';
import { dimsOf, isFloatTensor, rawBytes, withBytes } from '../onnx/tensor.ts';
import { constantDerived } from './foldWeights.ts';

type Model = ModelProto & { graph: GraphProto };

/** A model whose layers don't share vectors. */
export interface Unshared {
  readonly model: Model;
  /** For every copy that was made, the constant it is a copy of. */
  readonly sources: ReadonlyMap<string, string>;
}

/** Biases, scales, slopes: a tensor with one axis to speak of. */
const isVector = (tensor: TensorProto): boolean => isFloatTensor(tensor) && dimsOf(tensor).filter((size) => size !== 1).length === 1;

const cache = new WeakMap<GraphProto, Unshared>();

/**
 * Gives every reader of a shared vector its own. Exporters store equal tensors once (all biases that are still zero, say) and refer to them by
 * Identity nodes: a coincidence that would tie the channels of unrelated layers together. Matrices that are shared are meant to be.
 * @returns a model that computes the same; the given one where nothing is shared
 */
export function unshare(model: Model): Unshared {
  const known = cache.get(model.graph);
  if (known) return known;
  const view = new GraphView(model.graph);
  const vectors = new Map([...view.constants].filter(([, tensor]) => isVector(tensor)));
  const sources = new Map<string, string>(), added: TensorProto[] = [];
  const copy = (source: string, name: string): void => {
    const tensor = vectors.get(source)!, own = withBytes(tensor, dimsOf(tensor), rawBytes(tensor));
    own.name = name;
    added.push(own);
    vectors.set(name, own);
    sources.set(name, sources.get(source) ?? source);
  };
  const open = (value: string): boolean => view.isOutput(value) || view.capturedBySubgraphs.has(value);
  const read = new Set<string>(), derived = constantDerived(view);
  const nodes: NodeProto[] = [];
  for (const node of view.nodes) {
    const [output = ''] = node.output;
    if (node.opType === 'Identity' && vectors.has(node.input[0] ?? '') && !open(output)) { copy(node.input[0]!, output); continue; }
    if (derived.has(output)) { nodes.push(node); continue; } // what is computed from constants alone
    let changed = node;
    node.input.forEach((value, i) => {
      if (!vectors.has(value)) return;
      if (!read.has(value)) { read.add(value); return; }
      const name = `${value}/auto-compress:${node.name || output}.${i}`;
      copy(value, name);
      if (changed === node) changed = clone(NodeProtoSchema, node);
      changed.input[i] = name;
    });
    nodes.push(changed);
  }
  const result: Unshared = sources.size === 0 ? { model, sources }
    : { model: copyOf(model, { graph: copyOf(model.graph, { node: nodes, initializer: [...model.graph.initializer, ...added] }) }), sources };
  cache.set(model.graph, result);
  return result;
}
