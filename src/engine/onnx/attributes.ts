import { create } from '@bufbuild/protobuf';
import { AttributeProtoSchema, AttributeProto_AttributeType as Type, NodeProtoSchema, type AttributeProto, type GraphProto, type NodeProto, type TensorProto } from 'onnx-buf';
import { toInt64 } from './tensor.ts';

const find = (node: NodeProto, name: string): AttributeProto | undefined => node.attribute.find((attribute) => attribute.name === name);
const text = new TextDecoder();

export const hasAttribute = (node: NodeProto, name: string): boolean => find(node, name) !== undefined;
export const intAttribute = (node: NodeProto, name: string, fallback: number): number => { const a = find(node, name); return a ? Number(a.i) : fallback; };
export const floatAttribute = (node: NodeProto, name: string, fallback: number): number => find(node, name)?.f ?? fallback;
export const stringAttribute = (node: NodeProto, name: string, fallback: string): string => { const a = find(node, name); return a ? text.decode(a.s) : fallback; };
export const stringsAttribute = (node: NodeProto, name: string): string[] | undefined => find(node, name)?.strings.map((bytes) => text.decode(bytes));
export const intsAttribute = (node: NodeProto, name: string): number[] | undefined => find(node, name)?.ints.map(Number);
export const tensorAttribute = (node: NodeProto, name: string): TensorProto | undefined => find(node, name)?.t;
/** Every subgraph of the node (If: then_branch and else_branch; Loop and Scan: body). */
export const subgraphsOf = (node: NodeProto): GraphProto[] => node.attribute.flatMap((a) => (a.type === Type.GRAPH && a.g ? [a.g] : a.type === Type.GRAPHS ? a.graphs : []));

export type AttributeValue = number | string | readonly number[] | TensorProto | { float: number } | { floats: readonly number[] };

/** An attribute of the ONNX type that the value calls for: integers are INT or INTS; wrap real numbers as { float } or { floats }. */
export function attribute(name: string, value: AttributeValue): AttributeProto {
  if (typeof value === 'number') return create(AttributeProtoSchema, { name, type: Type.INT, i: toInt64(value) });
  if (typeof value === 'string') return create(AttributeProtoSchema, { name, type: Type.STRING, s: new TextEncoder().encode(value) });
  if ('float' in value) return create(AttributeProtoSchema, { name, type: Type.FLOAT, f: value.float });
  if ('floats' in value) return create(AttributeProtoSchema, { name, type: Type.FLOATS, floats: [...value.floats] });
  if ('$typeName' in value) return create(AttributeProtoSchema, { name, type: Type.TENSOR, t: value });
  return create(AttributeProtoSchema, { name, type: Type.INTS, ints: value.map(toInt64) });
}

/** Sets or replaces an attribute in place. */
export function setAttribute(node: NodeProto, name: string, value: AttributeValue): void {
  node.attribute = [...node.attribute.filter((a) => a.name !== name), attribute(name, value)];
}

/** A new node. @param inputs '' stands for an omitted optional input */
export function makeNode(opType: string, inputs: readonly string[], outputs: readonly string[], attributes: Readonly<Record<string, AttributeValue>> = {}, name = '', domain = ''): NodeProto {
  return create(NodeProtoSchema, {
    opType, name, domain, input: [...inputs], output: [...outputs],
    attribute: Object.entries(attributes).map(([key, value]) => attribute(key, value)),
  });
}
