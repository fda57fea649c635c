import { create } from '@bufbuild/protobuf';
import { TensorProtoSchema, type NodeProto, type TensorProto } from 'onnx-buf';
import { makeNode } from '../onnx/attributes.ts';
import { dimsOf, int64Tensor, intsOf, withFloats } from '../onnx/tensor.ts';

/** The first operator set that has ConstantOfShape. */
const firstWithConstantOfShape = 9;

/**
 * A node that makes the zeros that a value consists of, which thus count as no parameters, and the integer constant that it reads.
 * @param type element type of the value, floating @param opset of the model: one before ConstantOfShape casts integers
 */
export function zerosNode(value: string, dims: readonly number[], type: number, opset: number): { node: NodeProto; constant: TensorProto } {
  if (opset < firstWithConstantOfShape) {
    const constant = int64Tensor(`${value}/auto-compress:zeros`, dims, new Array<number>(dims.reduce((a, b) => a * b, 1)).fill(0));
    return { node: makeNode('Cast', [constant.name], [value], { to: type }), constant };
  }
  const constant = int64Tensor(`${value}/auto-compress:sizes`, [dims.length], dims), zero = withFloats(create(TensorProtoSchema, { dataType: type }), [1], new Float32Array(1));
  return { node: makeNode('ConstantOfShape', [constant.name], [value], { value: zero }), constant };
}

/** Dims of what a {@link zerosNode} makes; undefined for any other node. */
export function dimsOfZeros({ opType, input }: NodeProto, initializers: ReadonlyMap<string, TensorProto>): number[] | undefined {
  const constant = initializers.get(input[0] ?? '');
  return constant && (opType === 'ConstantOfShape' ? intsOf(constant) : opType === 'Cast' ? dimsOf(constant) : undefined);
}
