import { intAttribute, tensorAttribute } from '../onnx/attributes.ts';
import type { GraphView } from '../onnx/graphView.ts';
import { DataType } from '../onnx/tensor.ts';

/** Inputs whose element type an operator's output has, where it is not the first one. */
const sources: Readonly<Record<string, number>> = { Where: 1, CastLike: 1, OneHot: 2 };

/** Element type (TensorProto.DataType) of a floating value, told by what it is computed from; float32 where nothing tells. */
export function elementTypeOf(view: GraphView, value: string): number {
  for (let name = value, hops = 0; hops < 10_000; hops++) {
    const tensor = view.initializers.get(name) ?? view.constants.get(name), node = view.producers.get(name);
    if (tensor) return tensor.dataType;
    if (!node) {
      const type = view.graph.input.find((input) => input.name === name)?.type?.value;
      return type?.case === 'tensorType' ? type.value.elemType : DataType.FLOAT;
    }
    if (node.opType === 'Cast') return intAttribute(node, 'to', DataType.FLOAT);
    if (node.opType === 'ConstantOfShape') return tensorAttribute(node, 'value')?.dataType ?? DataType.FLOAT;
    name = node.input[sources[node.opType] ?? 0] ?? '';
  }
  return DataType.FLOAT;
}
