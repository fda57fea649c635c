/**
 * Stand-ins for heavy layers in a run that only asks for shapes: one input channel makes one output channel, which a vector spreads over the rest.
 * All values have the shapes they would have, for a millionth of the arithmetic and without the weights.
 */
import type { NodeProto, TensorProto } from 'onnx-buf';
import { clone } from '@bufbuild/protobuf';
import { NodeProtoSchema } from 'onnx-buf';
import { intAttribute, makeNode, setAttribute } from '../onnx/attributes.ts';
import { dimsOf, int64Tensor, isFloatTensor, rawBytes, withFloats } from '../onnx/tensor.ts';

export interface ThinNodes { readonly nodes: readonly NodeProto[]; readonly initializers: readonly TensorProto[] }

/** Numbers of both signs around 0, none of them alike: channels that differ, so that detectors find something and keep only some of it. */
const spread = (count: number): Float32Array => Float32Array.from({ length: count }, (_, i) => ((((i + 1) * 0.618_033_988_75) % 1) - 0.5) * 2);

/** The nodes with Conv, ConvTranspose, Gemm and MatMul of a constant weight replaced; other nodes are the given ones. @throws {UnsupportedModelError} for a weight whose dims disagree with its data */
export function thinLayers(nodes: readonly NodeProto[], constants: ReadonlyMap<string, TensorProto>): ThinNodes {
  const initializers = new Map<string, TensorProto>();
  const add = (tensor: TensorProto): string => { initializers.set(tensor.name, tensor); return tensor.name; };
  const first = add(int64Tensor('auto-compress:first', [1], [0]));

  function thin(node: NodeProto): readonly NodeProto[] {
    const [x = '', weight = ''] = node.input, [y = ''] = node.output, tensor = constants.get(weight);
    const dims = tensor ? dimsOf(tensor) : [];
    if (!tensor || !isFloatTensor(tensor) || dims.includes(0) || y === '') return [node];
    rawBytes(tensor); // refuses dims that its data do not fill, before anything is made of that size
    const floats = (suffix: string, shape: readonly number[], values: Float32Array): string => {
      const made = withFloats(tensor, shape, values);
      made.name = `${y}/auto-compress:${suffix}`;
      return add(made);
    };
    const taken = `${y}/auto-compress:taken`, one = `${y}/auto-compress:one`;
    const take = (axis: number): NodeProto => makeNode('Gather', [x, first], [taken], { axis });
    const widen = (value: string, shape: readonly number[], count: number): NodeProto => makeNode('Mul', [value, floats('spread', shape, spread(count))], [y]);
    if (node.opType === 'Conv' || node.opType === 'ConvTranspose') {
      const kernel = dims.slice(2), size = kernel.reduce((a, b) => a * b, 1), groups = intAttribute(node, 'group', 1);
      if (dims.length < 3 || groups < 1 || dims[0]! % groups !== 0) return [node]; // onnxruntime says what is wrong
      const channels = node.opType === 'Conv' ? dims[0]! : dims[1]! * groups;
      const layer = clone(NodeProtoSchema, node);
      setAttribute(layer, 'group', 1);
      layer.input = [taken, floats('kernel', [1, 1, ...kernel], new Float32Array(size).fill(1 / size))];
      layer.output = [one];
      return [take(1), layer, widen(one, [channels, ...kernel.map(() => 1)], channels)];
    }
    if (node.opType === 'Gemm' && dims.length === 2) {
      const transA = intAttribute(node, 'transA', 0), width = dims[intAttribute(node, 'transB', 0) ? 0 : 1]!;
      return [take(transA ? 0 : 1), makeNode('Gemm', [taken, floats('kernel', [1, 1], Float32Array.of(1))], [one], { transA }), widen(one, [width], width)];
    }
    if (node.opType === 'MatMul' && dims.length === 2) return [take(-1), widen(taken, [dims[1]!], dims[1]!)];
    return [node];
  }
  const result = nodes.flatMap((node) => (node.domain === '' || node.domain === 'ai.onnx' ? thin(node) : [node]));
  return { nodes: result, initializers: [...initializers.values()] };
}
