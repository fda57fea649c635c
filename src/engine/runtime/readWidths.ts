import type { NodeProto, TensorProto } from 'onnx-buf';
import { intAttribute } from '../onnx/attributes.ts';
import { dimsOf } from '../onnx/tensor.ts';

/** How wide a layer's constant weight takes its input to be. */
export interface ReadWidth { readonly node: string; readonly value: string; /** Negative ones count from the end. */ readonly axis: number; readonly width: number }

/** The widths that Conv, ConvTranspose, Gemm and MatMul of a constant weight read: a value that is not as wide can't be their input. */
export function readWidths(nodes: readonly NodeProto[], constants: ReadonlyMap<string, TensorProto>): ReadWidth[] {
  return nodes.flatMap((node) => {
    const tensor = constants.get(node.input[1] ?? ''), dims = tensor && (node.domain === '' || node.domain === 'ai.onnx') ? dimsOf(tensor) : [], read = axisAndWidth(node, dims);
    return read ? [{ node: node.name || node.output[0]!, value: node.input[0]!, axis: read[0], width: read[1] }] : [];
  });
}

function axisAndWidth(node: NodeProto, dims: readonly number[]): readonly [number, number] | undefined {
  switch (node.opType) {
    case 'Conv': return dims.length > 2 ? [1, dims[1]! * intAttribute(node, 'group', 1)] : undefined;
    case 'ConvTranspose': return dims.length > 2 ? [1, dims[0]!] : undefined;
    case 'Gemm': return dims.length === 2 ? [intAttribute(node, 'transA', 0) ? 0 : 1, dims[intAttribute(node, 'transB', 0) ? 1 : 0]!] : undefined;
    case 'MatMul': return dims.length === 2 ? [-1, dims[0]!] : undefined;
    default: return undefined;
  }
}
