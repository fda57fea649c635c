/** A model's graph for reading: every node with what goes in and out of it. Nothing is computed, and weights are not read. */
import { stat } from 'node:fs/promises';
import { type AttributeProto, AttributeProto_AttributeType as Type, type GraphProto, type TensorProto, type ValueInfoProto } from 'onnx-buf';
import { decodeModel, readModelFile } from '../onnx/modelFile.ts';
import { DataType, dimsOf, floatsOf, intsOf, isFloatTensor } from '../onnx/tensor.ts';
import type { GraphListing, ListedNode, ListedValue } from '../protocol.ts';

/** Nodes that are listed at most: an editor shows so many lines without delay. The rest is counted. */
export const mostListedNodes = 20_000;
const mostListedValues = 8, longestText = 200;

const elementTypes: Readonly<Record<number, string>> = { [DataType.FLOAT]: 'float32', [DataType.DOUBLE]: 'float64' };
const elementType = (type: number): string => elementTypes[type] ?? (DataType[type] ?? `type${type}`).toLowerCase();
const text = new TextDecoder();
/** One line of bounded length, whatever the file holds. */
const short = (value: string): string => {
  const line = value.replace(/[\u0000-\u001f\u007f-\u009f\u2028\u2029]/g, ' ');
  return line.length <= longestText ? line : `${line.slice(0, longestText)}...`;
};
const list = (values: readonly (number | bigint | string)[]): string => `[${values.slice(0, mostListedValues).join(', ')}${values.length > mostListedValues ? `, ... ${values.length} in all` : ''}]`;
const real = (value: number): string => String(Number(value.toPrecision(6)));

/** Name, element type and declared shape of a graph's input or output; '?' where a dimension is left open. */
export function describeValue(value: ValueInfoProto): { name: string; shape: (number | string)[]; elementType: string } {
  const tensor = value.type?.value.case === 'tensorType' ? value.type.value.value : undefined;
  const shape = (tensor?.shape?.dim ?? []).map(({ value: dim }): number | string => (dim.case === 'dimValue' ? Number(dim.value) : dim.case === 'dimParam' ? dim.value : '?'));
  return { name: value.name, shape, elementType: elementType(tensor?.elemType ?? DataType.UNDEFINED) };
}

/** `int64[2] [1, -1]`: contents only of tensors of a few elements. */
function describeTensor(tensor: TensorProto): string {
  const dims = dimsOf(tensor), type = `${elementType(tensor.dataType)}[${dims.join(', ')}]`;
  if (dims.reduce((a, b) => a * b, 1) > mostListedValues) return type;
  try { return `${type} ${list(isFloatTensor(tensor) ? Array.from(floatsOf(tensor), real) : intsOf(tensor))}`; } catch { return type; } // strings, or not all there
}

const describeGraph = ({ node }: GraphProto): string => `graph of ${node.length} nodes`;

function describeAttribute({ type, f, i, s, t, g, floats, ints, strings, tensors, graphs, refAttrName }: AttributeProto): string {
  switch (type) {
    case Type.FLOAT: return real(f);
    case Type.INT: return String(i);
    case Type.STRING: return JSON.stringify(text.decode(s));
    case Type.TENSOR: return t ? describeTensor(t) : 'no tensor';
    case Type.GRAPH: return g ? describeGraph(g) : 'no graph';
    case Type.FLOATS: return list(floats.map(real));
    case Type.INTS: return list(ints);
    case Type.STRINGS: return list(strings.map((value) => JSON.stringify(text.decode(value))));
    case Type.TENSORS: return list(tensors.map(describeTensor));
    case Type.GRAPHS: return list(graphs.map(describeGraph));
    default: return refAttrName ? `@${refAttrName}` : (Type[type] ?? 'unknown').toLowerCase();
  }
}

/** Nodes of a graph in the file's order, each followed by those of its subgraphs; `weights` are the tensors that they can see by name. */
function* nodesOf(graph: GraphProto, outer: ReadonlyMap<string, TensorProto>, depth: number): Generator<ListedNode> {
  const weights = graph.initializer.length === 0 ? outer : new Map([...outer, ...graph.initializer.map((tensor) => [tensor.name, tensor] as const)]);
  const value = (name: string): ListedValue => {
    const tensor = weights.get(name);
    return { name: short(name), ...(tensor ? { shape: dimsOf(tensor), elementType: elementType(tensor.dataType) } : {}) };
  };
  for (const { name, opType, domain, input, output, attribute } of graph.node) {
    yield {
      name: short(name || (output[0] ?? '')), opType: short(domain === '' || domain === 'ai.onnx' ? opType : `${domain}.${opType}`), depth, inputs: input.map(value), outputs: output.map(short),
      attributes: attribute.map((given) => ({ name: short(given.name), value: short(describeAttribute(given)) })),
    };
    for (const { g, graphs } of attribute) for (const inner of g ? [g, ...graphs] : graphs) yield* nodesOf(inner, weights, depth + 1);
  }
}

/** Reads the graph of a model file; external data is left alone. @throws {InputError} names the file */
export async function listGraph(path: string): Promise<GraphListing> {
  const bytes = await readModelFile(path);
  const { graph, opsetImport, producerName, producerVersion } = decodeModel(bytes, path);
  const nodes: ListedNode[] = [];
  let nodeCount = 0;
  for (const node of nodesOf(graph, new Map(), 0)) if (++nodeCount <= mostListedNodes) nodes.push(node);
  const given = new Set(graph.initializer.map(({ name }) => name));
  return {
    path, sizeBytes: (await stat(path)).size, nodes, nodeCount, initializers: graph.initializer.length,
    opsets: opsetImport.map(({ domain, version }) => `${short(domain) || 'ai.onnx'} ${version}`), producer: short([producerName, producerVersion].filter((part) => part !== '').join(' ')),
    inputs: graph.input.filter(({ name }) => !given.has(name)).map(describeValue), outputs: graph.output.map(describeValue),
  };
}
