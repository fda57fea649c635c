import { clone } from '@bufbuild/protobuf';
import {
  AttributeProtoSchema, AttributeProto_AttributeType as Type, type AttributeProto, type FunctionProto, type GraphProto, GraphProtoSchema, type ModelProto, type NodeProto, NodeProtoSchema,
} from 'onnx-buf';
import { UnsupportedModelError } from '../errors.ts';
import { makeNode } from './attributes.ts';

type Model = ModelProto & { graph: GraphProto };

/** Calls and nodes that the functions of a model may stand for, how deep they may call one another, and the bytes of tensors that may be repeated: a few hundred bytes of file can ask for any amount. */
const nodeLimit = 200_000, depthLimit = 100, repeatedBytesLimit = 2 ** 28;
const keyOf = ({ domain, opType, overload }: Pick<NodeProto, 'domain' | 'opType' | 'overload'>): string => `${domain === 'ai.onnx' ? '' : domain} ${opType} ${overload}`;

/** Attributes of a node of a function body: references to the function's own attributes get the caller's values, or the defaults. */
function attributesFor(node: NodeProto, call: NodeProto, called: FunctionProto): AttributeProto[] {
  return node.attribute.flatMap((own) => {
    if (own.refAttrName === '') return [own];
    const given = call.attribute.find(({ name }) => name === own.refAttrName) ?? called.attributeProto.find(({ name }) => name === own.refAttrName);
    if (!given) return [];
    const value = clone(AttributeProtoSchema, given);
    value.name = own.name;
    return [value];
  });
}

/** The nodes that a call stands for: the function's body with its values renamed to the caller's, or to names of their own. */
function bodyOf(call: NodeProto, called: FunctionProto, prefix: string): NodeProto[] {
  const names = new Map<string, string>([['', '']]);
  called.input.forEach((name, i) => { names.set(name, call.input[i] ?? ''); });
  const passed: NodeProto[] = [];
  called.output.forEach((name, i) => {
    const outer = call.output[i] ?? '';
    if (outer === '') return;
    if (names.has(name)) passed.push(makeNode('Identity', [names.get(name)!], [outer], {}, `${prefix}${name}`)); else names.set(name, outer);
  });
  const rename = (name: string): string => { const known = names.get(name) ?? `${prefix}${name}`; names.set(name, known); return known; };
  const renameGraph = (graph: GraphProto): void => { // a subgraph's own names stay apart from those around it
    for (const value of [...graph.input, ...graph.output]) value.name = rename(value.name);
    for (const tensor of graph.initializer) tensor.name = rename(tensor.name);
    graph.valueInfo = [];
    for (const node of graph.node) renameNode(node);
  };
  const renameNode = (node: NodeProto): void => {
    node.input = node.input.map(rename);
    node.output = node.output.map(rename);
    node.name = node.name === '' ? '' : `${prefix}${node.name}`;
    node.attribute = attributesFor(node, call, called);
    for (const { type, g, graphs } of node.attribute) for (const graph of type === Type.GRAPH && g ? [g] : graphs) renameGraph(graph);
  };
  return [...called.node.map((node) => { const own = clone(NodeProtoSchema, node); renameNode(own); return own; }), ...passed];
}

/** Bytes of the tensors among a node's attributes. */
const tensorBytes = (node: NodeProto): number => node.attribute.reduce((sum, { t, tensors }) => [...(t ? [t] : []), ...tensors].reduce((own, { rawData, floatData }) => own + rawData.length + 4 * floatData.length, sum), 0);

/**
 * The model without model-local functions (ONNX IR 8: FunctionProto): every call is replaced by the function's body.
 * Functions that import another version of an operator set than the model stay.
 * @returns the given model where it calls none
 * @throws {UnsupportedModelError} for functions that call one another in a circle, or that stand for more than can be held
 */
export function inlineFunctions(model: Model): Model {
  if (model.functions.length === 0) return model;
  const version = (imports: ModelProto['opsetImport'], domain: string): bigint | undefined => imports.find((entry) => (entry.domain === 'ai.onnx' ? '' : entry.domain) === domain)?.version;
  const opsetImport = [...model.opsetImport];
  const usable = model.functions.filter((own) => own.opsetImport.every((entry) => {
    const domain = entry.domain === 'ai.onnx' ? '' : entry.domain, known = version(opsetImport, domain);
    if (known === undefined) opsetImport.push(entry);
    return known === undefined || known === entry.version;
  }));
  const functions = new Map(usable.map((own) => [keyOf({ domain: own.domain, opType: own.name, overload: own.overload }), own]));
  const refuse = (why: string): never => { throw new UnsupportedModelError(`The functions of the model ${why}.`); };
  const ownBytes = usable.reduce((sum, { node }) => sum + node.reduce((own, each) => own + tensorBytes(each), 0), 0);
  let calls = 0, made = 0, repeated = 0;
  const inline = (nodes: readonly NodeProto[], open: readonly FunctionProto[]): NodeProto[] => nodes.flatMap((node): NodeProto[] => {
    const called = functions.get(keyOf(node));
    if (!called) {
      if (++made > nodeLimit) refuse(`stand for more than ${nodeLimit} nodes`);
      if (open.length > 0 && (repeated += tensorBytes(node)) > repeatedBytesLimit + ownBytes) refuse(`repeat more than ${repeatedBytesLimit} bytes of tensors`);
      for (const { type, g, graphs } of node.attribute) for (const graph of type === Type.GRAPH && g ? [g] : graphs) graph.node = inline(graph.node, open);
      return [node];
    }
    if (open.includes(called)) throw new UnsupportedModelError(`The function ${called.domain}.${called.name} of the model calls itself.`);
    if (open.length >= depthLimit) refuse(`call one another more than ${depthLimit} deep`);
    if (calls >= nodeLimit) refuse(`stand for more than ${nodeLimit} calls`);
    return inline(bodyOf(node, called, `${node.name || node.output[0] || called.name}/${++calls}/`), [...open, called]);
  });
  const graph = clone(GraphProtoSchema, { ...model.graph, initializer: [] });
  graph.node = inline(graph.node, []);
  graph.initializer = model.graph.initializer;
  return { ...model, opsetImport, graph, functions: model.functions.filter((own) => !usable.includes(own)) };
}
