import type { GraphProto, TensorProto } from 'onnx-buf';
import { GraphView } from '../onnx/graphView.ts';
import { bytesPerElement, dimsOf, elementCount, isFloatTensor, nonZeroCount } from '../onnx/tensor.ts';

/** Bytes of a bitmap that says which of so many elements are there. */
const bitmapBytes = (count: number): number => Math.ceil(count / 8);

/** Float tensors among a model's constants. */
const floatTensors = (graph: GraphProto): TensorProto[] => [...new GraphView(graph).constants.values()].filter(isFloatTensor);

/** Float elements that a model's constants hold, and what bitmaps of all of them take. */
export function floatElements({ graph }: { graph: GraphProto }): { count: number; bitmapBytes: number } {
  const counts = floatTensors(graph).map((tensor) => elementCount(dimsOf(tensor)));
  return { count: counts.reduce((a, b) => a + b, 0), bitmapBytes: counts.reduce((sum, count) => sum + bitmapBytes(count), 0) };
}

/** What a model's weights hold, and what they would take: non-zero float parameters, and bytes of the file with each float tensor as a bitmap and values, or dense where that is smaller. */
export function sparseStorage({ graph }: { graph: GraphProto }, sizeBytes: number): { nonZero: number; storedBytes: number } {
  let nonZero = 0, saved = 0;
  for (const tensor of floatTensors(graph)) {
    const count = elementCount(dimsOf(tensor)), present = nonZeroCount(tensor);
    nonZero += present;
    saved += Math.max(0, bytesPerElement(tensor) * (count - present) - bitmapBytes(count));
  }
  return { nonZero, storedBytes: sizeBytes - saved };
}
