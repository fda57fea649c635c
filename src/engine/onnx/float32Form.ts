import { AttributeProto_AttributeType as Type, type AttributeProto, type GraphProto, type ModelProto, type NodeProto, type TensorProto, type TypeProto, type ValueInfoProto } from 'onnx-buf';
import { intAttribute } from './attributes.ts';
import { copyOf } from './copyOf.ts';
import { elementTypeOf } from './elementType.ts';
import { GraphView } from './graphView.ts';
import { DataType, dimsOf, floatsOf, isFloatType, withFloats } from './tensor.ts';

type Model = ModelProto & { graph: GraphProto };

/** A network in float32, and the way back. */
export interface Float32Form {
  /** The network with its half- or double-precision numbers in float32; the given model where it has none. */
  readonly model: Model;
  /** Name of the number type that its weights have in the file; undefined where that is float32. */
  readonly fileType?: string;
  /** A model made of `model`, such as a pruned one, with the number types that its values have in the file. */
  restore(model: Model): Model;
}

/** Types that onnxruntime runs on any processor and that float32 stands for: bfloat16 it does not. */
const otherTypes: Readonly<Record<number, string | undefined>> = { [DataType.FLOAT16]: 'float16', [DataType.DOUBLE]: 'float64' };
const layers = new Set(['Conv', 'ConvTranspose', 'Gemm', 'MatMul', 'Einsum', 'RNN', 'GRU', 'LSTM', 'Attention']);

/** The number type of the weights of layers, as stored or as read, where one is not float32. Weights are constants, or made of one by a cast or the like. */
function otherTypeOf(view: GraphView): number | undefined {
  const sourceOf = (name: string): string => { let from = name; while (!view.constants.has(from) && view.producers.get(from)?.input.length === 1) from = view.producers.get(from)!.input[0]!; return from; };
  const types = view.nodes.flatMap(({ opType, input }) => (layers.has(opType) ? input.flatMap((name) => { const stored = view.constants.get(sourceOf(name)); return stored ? [stored.dataType, elementTypeOf(view, name)] : []; }) : []));
  return types.find((type) => otherTypes[type] !== undefined);
}

/**
 * A network whose layers have weights in half or double precision as the float32 one on which repair, search and training are defined. Types change wherever they are written: tensors, casts,
 * declared values, at every depth. What was in another type before, such as the scales of a Resize, stays. Constants that are stored in another precision than they are read in are read as they are.
 */
export function float32Form(model: Model): Float32Form {
  const view = new GraphView(model.graph), other = otherTypeOf(view);
  if (other === undefined) return { model, restore: (changed) => changed };
  const written = new Map<string, number>(), casts = storedCasts(view);
  const graph = withoutCasts(retyped(model.graph, (name, type) => { written.set(name, type); return type === other ? DataType.FLOAT : type; }), casts);
  const restore = (changed: Model): Model => {
    const whole = withCasts(changed.graph, casts), now = new GraphView(whole);
    return copyOf(changed, { graph: retyped(whole, (name, type) => (type === DataType.FLOAT ? written.get(name) ?? typeOfNew(name, now) : type)) });
  };
  /** The type of what the file did not write down: a value that it computed, or a constant that is read beside values that it knows. */
  function typeOfNew(name: string, now: GraphView): number {
    const known = (value: string): boolean => value !== name && (view.producers.has(value) || view.initializers.has(value) || view.inputs.includes(value));
    if (view.producers.has(name)) return elementTypeOf(view, name);
    const beside = now.usesOf(name).flatMap(({ node }) => [...node.output, ...node.input]).filter(known).map((value) => elementTypeOf(view, value));
    return beside.find(isFloatType) ?? other!;
  }
  return { model: copyOf(model, { graph }), fileType: otherTypes[other]!, restore };
}

/** Casts between real types of constants that nothing else reads, by the constant: in float32 they do nothing. */
function storedCasts(view: GraphView): ReadonlyMap<string, NodeProto> {
  const isStored = (name: string): boolean => { const tensor = view.initializers.get(name); return tensor !== undefined && view.constants.has(name) && isFloatType(tensor.dataType) && view.usesOf(name).length === 1 && !view.capturedBySubgraphs.has(name); };
  const isInner = ([name = '']: readonly string[]): boolean => !view.isOutput(name) && !view.capturedBySubgraphs.has(name);
  return new Map(view.nodes.flatMap((node) => { const [source = ''] = node.input; return node.opType === 'Cast' && isFloatType(intAttribute(node, 'to', 0)) && isStored(source) && isInner(node.output) ? [[source, node] as const] : []; }));
}

/** The graph in which readers of what the casts make read the constants themselves. */
function withoutCasts(graph: GraphProto, casts: ReadonlyMap<string, NodeProto>): GraphProto {
  const sources = new Map([...casts].map(([source, { output }]) => [output[0]!, source]));
  return copyOf(graph, { node: graph.node.filter(({ output }) => !sources.has(output[0] ?? '')).map((node) => reading(node, (name) => sources.get(name))) });
}

/** The graph with the casts again of those of the constants that are there. */
function withCasts(graph: GraphProto, casts: ReadonlyMap<string, NodeProto>): GraphProto {
  const present = graph.initializer.flatMap(({ name }) => casts.get(name) ?? []), made = new Map(present.map(({ input, output }) => [input[0]!, output[0]!]));
  return copyOf(graph, { node: [...present, ...graph.node.map((node) => reading(node, (name) => made.get(name)))] });
}

/** A node with other names for some of its inputs. */
const reading = (node: NodeProto, nameFor: (name: string) => string | undefined): NodeProto =>
  node.input.some((name) => nameFor(name) !== undefined) ? copyOf(node, { input: node.input.map((name) => nameFor(name) ?? name) }) : node;

/** The element type of what stands by a name, given the one that is written there. */
type Rule = (name: string, type: number) => number;

function retyped(graph: GraphProto, rule: Rule): GraphProto {
  const value = (info: ValueInfoProto): ValueInfoProto => (info.type ? copyOf(info, { type: retypedType(info.type, info.name, rule) }) : info);
  return copyOf(graph, {
    node: graph.node.map((node) => retypedNode(node, rule)), initializer: graph.initializer.map((tensor) => retypedTensor(tensor, tensor.name, rule)),
    sparseInitializer: graph.sparseInitializer.map((sparse) => (sparse.values ? copyOf(sparse, { values: retypedTensor(sparse.values, sparse.values.name, rule) }) : sparse)),
    input: graph.input.map(value), output: graph.output.map(value), valueInfo: graph.valueInfo.map(value),
  });
}

function retypedTensor(tensor: TensorProto, name: string, rule: Rule): TensorProto {
  const dataType = isFloatType(tensor.dataType) ? rule(name, tensor.dataType) : tensor.dataType;
  return dataType === tensor.dataType ? tensor : withFloats(copyOf(tensor, { dataType }), dimsOf(tensor), floatsOf(tensor));
}

/** A tensor's type, or that of a sequence or an optional of tensors. */
function retypedType(type: TypeProto, name: string, rule: Rule): TypeProto {
  const { value } = type;
  switch (value.case) {
    case 'tensorType': case 'sparseTensorType': return isFloatType(value.value.elemType) ? copyOf(type, { value: { case: value.case, value: copyOf(value.value, { elemType: rule(name, value.value.elemType) }) } as TypeProto['value'] }) : type;
    case 'sequenceType': case 'optionalType': return value.value.elemType ? copyOf(type, { value: { case: value.case, value: copyOf(value.value, { elemType: retypedType(value.value.elemType, name, rule) }) } as TypeProto['value'] }) : type;
    default: return type;
  }
}

/** Types among a node's attributes: of a Cast (ONNX Cast 6) and of operators that make tensors (EyeLike, RandomNormal, ...: `dtype`), tensors, and subgraphs. They are of what its first output is. */
function retypedNode(node: NodeProto, rule: Rule): NodeProto {
  const [output = ''] = node.output;
  const changed = (attribute: AttributeProto): AttributeProto => {
    const { name, type, i, t, g, graphs } = attribute;
    switch (type) {
      case Type.INT: return (name === 'dtype' || (name === 'to' && node.opType === 'Cast')) && isFloatType(Number(i)) ? copyOf(attribute, { i: BigInt(rule(output, Number(i))) }) : attribute;
      case Type.TENSOR: return t ? copyOf(attribute, { t: retypedTensor(t, output, rule) }) : attribute;
      case Type.GRAPH: return g ? copyOf(attribute, { g: retyped(g, rule) }) : attribute;
      case Type.GRAPHS: return copyOf(attribute, { graphs: graphs.map((graph) => retyped(graph, rule)) });
      default: return attribute;
    }
  };
  return node.attribute.length === 0 ? node : copyOf(node, { attribute: node.attribute.map(changed) });
}
