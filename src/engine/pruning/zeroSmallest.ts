import type { GraphProto, ModelProto, TensorProto } from 'onnx-buf';
import { dimsOf, floatsOf, isFloatTensor, withFloats } from '../onnx/tensor.ts';
import { copyOf } from '../onnx/copyOf.ts';

/**
 * Sets the smallest weights of tensors to zero. A repair that follows finds better ones itself; this is what there is without calibration data.
 * @param densities share of the elements that stays, by the tensor's name; tensors that are no floating-point initializers stay as they are
 */
export function zeroSmallest(model: ModelProto & { graph: GraphProto }, densities: ReadonlyMap<string, number>): ModelProto & { graph: GraphProto } {
  if (densities.size === 0) return model;
  const initializer = model.graph.initializer.map((tensor): TensorProto => {
    const density = densities.get(tensor.name);
    if (density === undefined || density >= 1 || !isFloatTensor(tensor)) return tensor;
    const values = floatsOf(tensor).slice(), keep = Math.round(density * values.length), order = Uint32Array.from(values.keys()).sort((a, b) => Math.abs(values[b]!) - Math.abs(values[a]!) || a - b);
    for (const index of order.subarray(keep)) values[index] = 0;
    return withFloats(tensor, dimsOf(tensor), values);
  });
  return copyOf(model, { graph: copyOf(model.graph, { initializer }) });
}
