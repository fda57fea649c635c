import type { GraphProto } from 'onnx-buf';
import { GraphView } from '../onnx/graphView.ts';
import { dimsOf, elementCount, isFloatTensor, nonZeroCount } from '../onnx/tensor.ts';

/** What sparse storage adds, as a share of the dense weights: a bit for each weight in a bitmap that says which are there. */
export const bitmapShare = 1 / 32;

/**
 * Bytes of a float32 tensor stored as a bitmap of its non-zero elements and their values; dense where that is smaller.
 * @param count elements @param nonZero elements that are not zero
 */
const storedBytes = (count: number, nonZero: number): number => Math.min(4 * count, 4 * nonZero + Math.ceil(count / 8));

/** What a model's weights hold, and what they would take: non-zero float parameters, and bytes of the file with its float weights as bitmap and values. */
export function sparseStorage({ graph }: { graph: GraphProto }, sizeBytes: number): { nonZero: number; storedBytes: number } {
  let nonZero = 0, saved = 0;
  for (const tensor of new Map([...new GraphView(graph).constants]).values()) {
    if (!isFloatTensor(tensor)) continue;
    const count = elementCount(dimsOf(tensor)), present = nonZeroCount(tensor);
    nonZero += present;
    saved += 4 * count - storedBytes(count, present);
  }
  return { nonZero, storedBytes: sizeBytes - saved };
}
