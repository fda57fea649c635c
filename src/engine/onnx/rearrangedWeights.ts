import type { GraphProto, NodeProto, TensorProto } from 'onnx-buf';
import { intAttribute, intsAttribute, tensorAttribute } from './attributes.ts';
import { capturedValues } from './graphView.ts';
import { bytesPerElement, dimsOf, elementCount, intsOf, isFloatTensor, rawBytes, withBytes } from './tensor.ts';

/** What a node makes of a constant by rearranging its numbers, once. @returns undefined where it is not known, or the node is not valid */
type Rearranging = (node: NodeProto, tensor: TensorProto, operand: TensorProto | undefined) => TensorProto | undefined;

/** ONNX Transpose 13, Reshape 14, Flatten 13, Identity 16. */
const rearranging: Readonly<Record<string, Rearranging | undefined>> = {
  Transpose: (node, tensor) => transposed(tensor, intsAttribute(node, 'perm') ?? dimsOf(tensor).map((_, axis, all) => all.length - 1 - axis)),
  Reshape: (node, tensor, shape) => (shape && intAttribute(node, 'allowzero', 0) === 0 ? reshaped(tensor, intsOf(shape)) : undefined),
  Flatten: (node, tensor) => {
    const dims = dimsOf(tensor), axis = intAttribute(node, 'axis', 1), at = axis < 0 ? axis + dims.length : axis;
    return reshaped(tensor, [elementCount(dims.slice(0, at)), elementCount(dims.slice(at))]);
  },
  Identity: (_node, tensor) => tensor,
};

/**
 * Weights that nodes transpose or reshape before a layer reads them, as exporters without constant folding write them, in place: rearranged once, as the layer reads them. What others
 * read as well, such as an embedding that is the transposed weight of the last layer, is left: it would be stored twice.
 */
export function rearrangeWeights(graph: GraphProto): void {
  const given = new Set([...graph.input, ...graph.output].map(({ name }) => name)), constants = new Map(graph.initializer.filter(({ name }) => !given.has(name)).map((tensor) => [tensor.name, tensor]));
  const operands = new Map([...graph.node.flatMap((node) => (node.opType === 'Constant' ? [[node.output[0] ?? '', tensorAttribute(node, 'value')] as const] : [])), ...constants]);
  const readers = new Map<string, number>(), outer = new Set(graph.node.flatMap(capturedValues));
  for (const { input } of graph.node) for (const name of input) readers.set(name, (readers.get(name) ?? 0) + 1);
  graph.node = graph.node.filter((node) => {
    const [source = '', operand = ''] = node.input, [name = ''] = node.output, tensor = constants.get(source);
    if (!tensor || !isFloatTensor(tensor) || tensor.dims.length < 2 || node.domain !== '' || readers.get(source) !== 1 || given.has(name) || outer.has(source)) return true;
    const made = rearranging[node.opType]?.(node, tensor, operands.get(operand));
    if (!made) return true;
    constants.delete(source);
    constants.set(name, withName(made, name));
    if (operand !== '' && readers.get(operand) === 1 && !outer.has(operand)) constants.delete(operand);
    return false;
  });
  if (constants.size === 0) return;
  const kept = graph.initializer.filter((tensor) => given.has(tensor.name) || constants.get(tensor.name) === tensor), known = new Set(kept);
  graph.initializer = [...kept, ...[...constants.values()].filter((tensor) => !known.has(tensor))];
}

const withName = (tensor: TensorProto, name: string): TensorProto => { const copy = withBytes(tensor, dimsOf(tensor), rawBytes(tensor)); copy.name = name; return copy; };

/** The same numbers in other dims, of which 0 stands for the dim that was there and -1 for what is left. */
function reshaped(tensor: TensorProto, shape: readonly number[]): TensorProto | undefined {
  const dims = dimsOf(tensor), count = elementCount(dims), known = shape.map((dim, axis) => (dim === 0 ? dims[axis] ?? 0 : dim)), rest = known.filter((dim) => dim !== -1).reduce((a, b) => a * b, 1);
  const full = known.map((dim) => (dim === -1 ? count / rest : dim));
  return full.every((dim) => Number.isInteger(dim) && dim > 0) && full.reduce((a, b) => a * b, 1) === count ? withBytes(tensor, full, rawBytes(tensor)) : undefined;
}

/** Axis i of the result is axis perm[i] of the tensor. */
function transposed(tensor: TensorProto, perm: readonly number[]): TensorProto | undefined {
  const dims = dimsOf(tensor), rank = dims.length, size = bytesPerElement(tensor), from = rawBytes(tensor), to = new Uint8Array(from.length);
  if (perm.length !== rank || perm.toSorted((a, b) => a - b).some((axis, i) => axis !== i)) return undefined;
  const strides = dims.map((_, axis) => dims.slice(axis + 1).reduce((a, b) => a * b, size)), out = perm.map((axis) => dims[axis]!), steps = perm.map((axis) => strides[axis]!), at = new Array<number>(rank).fill(0);
  for (let end = 0, start = 0; end < to.length; end += size) {
    for (let byte = 0; byte < size; byte++) to[end + byte] = from[start + byte]!;
    for (let axis = rank - 1; axis >= 0; axis--) {
      start += steps[axis]!;
      if (++at[axis]! < out[axis]!) break;
      start -= steps[axis]! * out[axis]!;
      at[axis] = 0;
    }
  }
  return withBytes(tensor, out, to);
}
