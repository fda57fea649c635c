import type { TensorProto } from 'onnx-buf';
import { dimsOf, floatTensor, floatsOf, withFloats } from '../onnx/tensor.ts';
import type { Layer } from '../pruning/types.ts';
import { type RowLayout, columnsOf } from './layerRows.ts';

/**
 * A layer's weights and bias as regression matrices, one a convolution group.
 * @returns float32 [columns, outs] a group; the last row is the bias
 */
export function weightMatrices(layer: Layer, layout: RowLayout, weight: TensorProto, bias: TensorProto | undefined): Float32Array[] {
  const values = floatsOf(weight), offsets = bias && floatsOf(bias), { outs, taps } = layout, columns = columnsOf(layout), inputs = columns - 1;
  return Array.from({ length: layout.groups }, (_, group) => {
    const matrix = new Float32Array(columns * outs);
    for (let o = 0; o < outs; o++) {
      const row = group * outs + o;
      if (outsFirst(layer)) for (let i = 0; i < inputs; i++) matrix[i * outs + o] = values[row * inputs + i]!;
      else for (let c = 0, i = 0; i < inputs; c++) for (let t = 0; t < taps; t++, i++) matrix[i * outs + o] = values[(c * outs + o) * taps + t]!;
      matrix[inputs * outs + o] = offsets ? offsets[offsets.length === 1 ? 0 : row]! : 0;
    }
    return matrix;
  });
}

/** The tensors that regression matrices stand for: the inverse of {@link weightMatrices}. */
export function tensorsFromMatrices(layer: Layer, layout: RowLayout, matrices: readonly Float32Array[], weight: TensorProto, biasName: string): { weight: TensorProto; bias: TensorProto } {
  const { outs, taps, channels } = layout, inputs = columnsOf(layout) - 1, total = layout.groups * outs;
  const values = new Float32Array(total * inputs), offsets = new Float32Array(total);
  matrices.forEach((matrix, group) => {
    const weights = matrix.subarray(0, inputs * outs);
    if (outsFirst(layer)) transposeInto(values.subarray(group * outs * inputs), weights, inputs, outs);
    else for (let c = 0; c < channels; c++) transposeInto(values.subarray(c * outs * taps), weights.subarray(c * taps * outs), taps, outs);
    offsets.set(matrix.subarray(inputs * outs), group * outs);
  });
  return { weight: withFloats(weight, dimsOf(weight), values), bias: withFloats({ ...floatTensor(biasName, [total], offsets), dataType: weight.dataType }, [total], offsets) };
}

/** Whether the weight begins with its output channels, [outs, channels, taps]: Conv and transposed Gemm. Otherwise it is [channels, outs, taps]: ConvTranspose, and MatMul and Gemm with their one tap. */
const outsFirst = (layer: Layer): boolean => layer.outAxis === 0;

/** [rows, columns] to [columns, rows], in tiles that stay in the processor's caches. */
function transposeInto(to: Float32Array, matrix: Float32Array, rows: number, columns: number): void {
  const tile = 16;
  for (let top = 0; top < rows; top += tile) {
    const bottom = Math.min(rows, top + tile);
    for (let column = 0; column < columns; column++) for (let row = top; row < bottom; row++) to[column * rows + row] = matrix[row * columns + column]!;
  }
}
