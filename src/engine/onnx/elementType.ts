import type { NodeProto, ValueInfoProto } from 'onnx-buf';
import { intAttribute, subgraphsOf, tensorAttribute } from './attributes.ts';
import type { GraphView } from './graphView.ts';
import { DataType } from './tensor.ts';

/** Inputs whose element type an operator's output has, where it is not the first one. */
const sources: Readonly<Record<string, number>> = { Where: 1, CastLike: 1, OneHot: 2 };
const indices = /^(Shape|Size|ArgMax|ArgMin|NonZero|NonMaxSuppression)$/, truths = /^(Equal|Less|LessOrEqual|Greater|GreaterOrEqual|Not|And|Or|Xor|IsNaN|IsInf)$/;
/** Second outputs: positions, or a mask. */
const seconds: Readonly<Record<string, number>> = { TopK: DataType.INT64, MaxPool: DataType.INT64, Dropout: DataType.BOOL };

/** The element type that a value declares; float32 where it declares none. */
export const declaredElementType = (value: ValueInfoProto | undefined): number => (value?.type?.value.case === 'tensorType' ? value.type.value.value.elemType : DataType.FLOAT);

/** The element type that a node itself states for an output; undefined where it is that of an input. */
function statedType(node: NodeProto, output: number): number | undefined {
  const { opType } = node, [body] = subgraphsOf(node);
  if (body) return declaredElementType(body.output[output + (opType === 'Loop' ? 1 : 0)]); // a Loop's body gives its condition first
  if (output === 1 && seconds[opType] !== undefined) return seconds[opType];
  if (opType === 'Cast') return intAttribute(node, 'to', DataType.FLOAT);
  if (opType === 'ConstantOfShape') return tensorAttribute(node, 'value')?.dataType ?? DataType.FLOAT;
  return indices.test(opType) ? DataType.INT64 : truths.test(opType) ? DataType.BOOL : undefined;
}

/** Element type (TensorProto.DataType) of a value, told by what it is computed from; float32 where nothing tells. */
export function elementTypeOf(view: GraphView, value: string): number {
  for (let name = value, hops = 0; hops < 10_000; hops++) {
    const tensor = view.initializers.get(name) ?? view.constants.get(name), node = view.producers.get(name);
    if (tensor) return tensor.dataType;
    if (!node) return declaredElementType(view.graph.input.find((input) => input.name === name));
    const stated = statedType(node, node.output.indexOf(name));
    if (stated !== undefined) return stated;
    name = node.input[sources[node.opType] ?? 0] ?? '';
  }
  return DataType.FLOAT;
}
