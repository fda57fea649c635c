import { create } from '@bufbuild/protobuf';
import { type GraphProto, type ModelProto, type NodeProto, type TensorProto, type ValueInfoProto, ValueInfoProtoSchema, TensorProto_DataType as DataType } from 'onnx-buf';
import { InputError, UnsupportedModelError, messageOf } from '../errors.ts';
import { hasAttribute, intAttribute, makeNode, subgraphsOf, tensorAttribute } from '../onnx/attributes.ts';
import { capturedValues, type GraphView } from '../onnx/graphView.ts';
import { declaredElementType } from '../onnx/elementType.ts';
import { elementCount } from '../onnx/tensor.ts';
import { arrayFor, typeName } from './elementTypes.ts';
import { Session, loadFailure, runFailure, type Tensor } from './session.ts';
import { readWidths } from './readWidths.ts';
import { thinLayers } from './thinLayers.ts';

type Model = ModelProto & { graph: GraphProto };

/** What one run of the model tells of every value at the top level of its graph. */
export interface ValueShapes {
  /** Shape of each value in the first run; initializers included. Values that are not tensors (sequences, optionals) are absent. */
  readonly shapes: ReadonlyMap<string, readonly number[]>;
  /** Contents of small values of an integer type or bool (at most `smallElements` elements), as run: shape arithmetic and indices. */
  readonly small: ReadonlyMap<string, Tensor>;
  /** The input shapes that were used. */
  readonly inputShapes: Readonly<Record<string, readonly number[]>>;
}

const smallElements = 4096;
/** Elements of an input that is made up: half a gigabyte of float32, more than any image or sentence. */
const mostInputElements = 2 ** 27;
/** Operators whose outputs are sequences, maps or optionals, which Shape does not take. */
const nonTensorOutputs = new Set(['SequenceConstruct', 'SequenceEmpty', 'SplitToSequence', 'SequenceInsert', 'SequenceErase', 'SequenceMap', 'Optional', 'ZipMap', 'OptionalGetElement']);
const integerOutputs = new Set(['Shape', 'Size', 'NonZero', 'ArgMax', 'ArgMin', 'NonMaxSuppression', 'Equal', 'Less', 'LessOrEqual', 'Greater', 'GreaterOrEqual', 'Not', 'And', 'Or', 'Xor', 'IsNaN', 'IsInf']);
const floatTypes = new Set<number>([DataType.FLOAT, DataType.DOUBLE, DataType.FLOAT16, DataType.BFLOAT16]);

/** Values that are no tensors, told by operator, or by the types that subgraphs declare for their outputs. */
function nonTensors(view: GraphView): ReadonlySet<string> {
  const found = new Set<string>();
  for (const node of view.nodes) {
    const made = nonTensorOutputs.has(node.opType) || (node.opType === 'Identity' && found.has(node.input[0] ?? ''));
    const [body] = subgraphsOf(node), offset = node.opType === 'Loop' ? 1 : 0;
    node.output.forEach((name, i) => {
      const type = body?.output[i + offset]?.type?.value.case;
      if (made || (type !== undefined && type !== 'tensorType')) found.add(name);
    });
  }
  return found;
}

/** Values of an integer type or bool, told by operator; one that is missed only counts as not known. */
function integerValues(view: GraphView): ReadonlySet<string> {
  const integers = new Set<string>();
  for (const { name, type } of view.graph.input) if (type?.value.case === 'tensorType' && !floatTypes.has(type.value.value.elemType)) integers.add(name);
  for (const [name, tensor] of [...view.initializers, ...view.constants]) if (!floatTypes.has(tensor.dataType)) integers.add(name);
  for (const node of view.nodes) {
    const { opType, input: inputs, output: outputs } = node, first = opType === 'Where' ? inputs[1] : inputs[0];
    const made = opType === 'Cast' ? !floatTypes.has(intAttribute(node, 'to', DataType.FLOAT))
      : opType === 'Constant' ? integers.has(outputs[0] ?? '') || hasAttribute(node, 'value_int') || hasAttribute(node, 'value_ints')
      : opType === 'ConstantOfShape' ? !floatTypes.has(tensorAttribute(node, 'value')?.dataType ?? DataType.FLOAT)
      : integerOutputs.has(opType) || (first !== undefined && integers.has(first) && !subgraphsOf(node).length);
    if (made) for (const output of outputs) integers.add(output);
    if (opType === 'TopK' && outputs[1]) integers.add(outputs[1]);
  }
  integers.delete('');
  return integers;
}

const withoutType = (name: string): ValueInfoProto => create(ValueInfoProtoSchema, { name });

/** The element type of a graph input, by onnxruntime's name. @throws {UnsupportedModelError} for one that is no tensor, or of a type that no array holds */
export function declaredType(input: ValueInfoProto): string {
  const type = input.type?.value;
  if (type?.case !== undefined && type.case !== 'tensorType') throw new UnsupportedModelError(`Graph input "${input.name}" is a ${type.case.replace('Type', '')} and not a tensor, which is not supported.`);
  const elementType = declaredElementType(input), name = typeName(elementType);
  if (name === undefined) throw new UnsupportedModelError(`Graph input "${input.name}" has element type ${DataType[elementType] ?? elementType}, which is not supported.`);
  return name;
}

/** Values in [0, 1) that look like nothing in particular, the same every time: an input that exercises a model without data. @throws {InputError} where it would be too large */
export function syntheticInput(input: ValueInfoProto, dims: readonly number[]): Tensor {
  const type = declaredType(input);
  const count = elementCount(dims, input.name);
  if (count > mostInputElements) throw new InputError(`Graph input "${input.name}" of the shape [${dims.join(', ')}] is too large to try the model on.`);
  const data = arrayFor(type, count);
  let state = 0x2545f491;
  for (let i = 0; i < data.length; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    const unit = state / 2 ** 32;
    if (data instanceof BigInt64Array || data instanceof BigUint64Array) data[i] = 1n;
    else data[i] = type === 'float16' ? 0x3000 + (state >>> 22) : data instanceof Float32Array || data instanceof Float64Array ? unit : 1;
  }
  return { type, dims, data };
}

/** The dims that a graph input declares; undefined where symbolic or absent. An input without a shape gives []. */
export function declaredDims(input: ValueInfoProto): (number | undefined)[] {
  const shape = input.type?.value.case === 'tensorType' ? input.type.value.value.shape : undefined;
  return (shape?.dim ?? []).map(({ value }) => (value.case === 'dimValue' && value.value > 0n ? Number(value.value) : undefined));
}

/** Whether the dims of an input are those of images whose channels stand last, [N, H, W, C], as Keras has them: few of them there, and a size that is open in their usual place. */
export const isChannelsLast = (dims: readonly (number | string | undefined)[]): boolean => dims.length === 4 && typeof dims[3] === 'number' && dims[3] <= 4 && typeof dims[1] !== 'number';

/**
 * Shapes to try for the inputs of a model: declared dims, `batch` for a symbolic first one and wherever its name occurs again, what the layers that read an input take, and for other
 * symbolic dims the usual image sizes in turn (or 3 channels for an image without, and at last 1); sums of names are added up.
 */
export function inputShapeCandidates(view: GraphView, batch: number): Record<string, number[]>[] {
  const inputs = view.graph.input.filter(({ name }) => view.inputs.includes(name));
  const dims = inputs.map((input) => symbolicDims(input)), names = new Set(dims.flat().filter((dim) => typeof dim === 'string'));
  const first = new Set(dims.map(([dim]) => dim).filter((dim) => typeof dim === 'string' && dim !== ''));
  const free = dims.some((own) => own.slice(1).some((dim) => typeof dim === 'string'));
  const read = readWidths(view.nodes, view.constants), readOf = (name: string, i: number, rank: number): number | undefined => read.find(({ value, axis }) => value === name && (axis < 0 ? axis + rank : axis) === i)?.width;
  const shapes = (size: number, sizeOf: (symbol: string) => number | undefined, channels = 3): Record<string, number[]> => Object.fromEntries(inputs.map((input, at) => [input.name, dims[at]!.map((dim, i) => {
    if (typeof dim === 'number') return dim;
    const parts = dim.split('+').map((part) => part.trim()); // exporters write sums of other dims: past_sequence_length + 1
    const known = parts.length > 1 ? parts.reduce((sum, part) => sum + (/^\d+$/.test(part) ? Number(part) : sizeOf(part) ?? (first.has(part) ? batch : size)), 0) : sizeOf(dim);
    return readOf(input.name, i, dims[at]!.length) ?? known ?? (i === 0 || (dim !== '' && first.has(dim)) ? batch : i === 1 && dims[at]!.length === 4 && !isChannelsLast(dims[at]!) && !/seq|time|len|head/i.test(dim) ? channels : size);
  })]));
  const sizes = free ? [224, 256, 32, 64, 128, 299, 384, 512, 640, 16, 8, 1] : [0];
  const plain = sizes.map((size) => shapes(size, () => undefined));
  // a cache of earlier steps: masks and totals run over old and new ones together
  const cached = [...names].some((name) => /past|total/i.test(name)) ? [16, 32, 8].map((size) => shapes(size, (symbol) => (/total|mask/i.test(symbol) ? 2 * size : undefined))) : [];
  // first dims that are not batches: nodes, points, rows
  const counted = [...first].some((name) => !/batch|^n$|^bs?$|unk/i.test(name as string)) ? [16, 64].map((size) => shapes(size, (symbol) => (first.has(symbol) && !/batch/i.test(symbol) ? size : undefined))) : [];
  const grey = dims.some((own) => own.length === 4 && typeof own[1] === 'string') ? sizes.map((size) => shapes(size, () => undefined, 1)) : [];
  return [...cached, ...plain, ...counted, ...grey];
}

/** Whether a graph input declares a shape and every size in it, the first aside. */
const onlyBatchIsOpen = (input: ValueInfoProto): boolean => input.type?.value.case === 'tensorType' && input.type.value.value.shape !== undefined && declaredDims(input).slice(1).every((dim) => dim !== undefined);

/** Declared dims of a graph input: numbers, or names of symbolic dims ('' where they have none). */
function symbolicDims(input: ValueInfoProto): (number | string)[] {
  const shape = input.type?.value.case === 'tensorType' ? input.type.value.value.shape : undefined, known = declaredDims(input);
  return (shape?.dim ?? []).map(({ value }, i) => known[i] ?? (value.case === 'dimParam' ? value.value : ''));
}

/**
 * Shapes of all values and the contents of small ones, by running the model with graph optimisation off: exact, not inferred.
 * Tensor contents never leave onnxruntime: a Shape node is attached to every value. Layers are thin ones first (see thinLayers); a model that
 * does not run so, because its data steer it, runs as it is.
 * @param inputShapes a shape for every graph input
 * @throws {InputError} with onnxruntime's message when the model does not run on these shapes
 */
export async function runShapes(model: Model, view: GraphView, inputShapes: Readonly<Record<string, readonly number[]>>): Promise<ValueShapes> {
  const thin = thinLayers(view.nodes, view.constants);
  try { return requireWidths(view, await measure(model, view, thin.nodes, [...model.graph.initializer, ...thin.initializers], inputShapes)); } catch (error) {
    if (!(error instanceof InputError)) throw error;
    return measure(model, view, view.nodes, model.graph.initializer, inputShapes);
  }
}

/** Thin layers take any width, the model's own only theirs. @throws {InputError} names the first layer that would get another */
function requireWidths(view: GraphView, found: ValueShapes): ValueShapes {
  for (const { node, value, axis, width } of readWidths(view.nodes, view.constants)) {
    const given = found.shapes.get(value)?.at(axis);
    if (given !== undefined && given !== width) throw new InputError(`Layer "${node}" takes ${width} values, and would get ${given}.`);
  }
  return found;
}

async function measure(
  model: Model, view: GraphView, nodes: readonly NodeProto[], initializers: readonly TensorProto[], inputShapes: Readonly<Record<string, readonly number[]>>,
): Promise<ValueShapes> {
  const lists = nonTensors(view);
  const values = view.nodes.flatMap((node) => node.output.filter((name) => name !== '' && !lists.has(name)));
  const feeds = Object.fromEntries(view.graph.input.filter(({ name }) => view.inputs.includes(name)).map((input) => [input.name, syntheticInput(input, inputShapes[input.name] ?? [])]));
  const read = new Set([...nodes.flatMap(({ input }) => input), ...nodes.flatMap(capturedValues), ...view.graph.input.map(({ name }) => name)]);
  const initializer = initializers.filter(({ name }) => read.has(name));
  const probe = (extraNodes: GraphProto['node'], outputs: readonly string[]): Model => ({ ...model, graph: { ...model.graph, node: [...nodes, ...extraNodes], initializer, output: outputs.map(withoutType), valueInfo: [] } });
  const shapeName = (value: string): string => `${value}/auto-compress:shape`;
  const run = async (probed: Model): Promise<Record<string, Tensor>> => {
    const session = await Session.create(probed, { optimization: 'disabled' });
    try { return await session.run(feeds); } finally { await session.release(); }
  };
  // the last leaf is computed first, so Shape nodes stand in reverse: each value is then measured and freed before the next one is made
  const integers = integerValues(view);
  const exact = values.filter((value) => integers.has(value) && !view.constants.has(value));
  const others = values.filter((value) => !integers.has(value) && !view.constants.has(value));
  const measured = await run(probe(others.toReversed().map((value) => makeNode('Shape', [value], [shapeName(value)])), [...others.map(shapeName), ...exact]));
  const shapes = new Map<string, readonly number[]>(Object.entries(inputShapes));
  for (const [name, tensor] of [...view.initializers, ...view.constants]) shapes.set(name, tensor.dims.map(Number));
  for (const value of others) shapes.set(value, Array.from(measured[shapeName(value)]!.data as BigInt64Array, Number));
  for (const value of exact) shapes.set(value, measured[value]!.dims);
  const small = Object.fromEntries(exact.map((value) => [value, measured[value]!] as const).filter(([, tensor]) => tensor.data.length <= smallElements));
  return { shapes, small: new Map(Object.entries(small)), inputShapes };
}

/**
 * Finds input shapes on which the model runs, and the shapes of all its values on them.
 * @param given shapes that the caller knows, by input name
 * @throws {InputError} when no usual shape fits: says how to export the model, or that it does not run on what it declares itself
 */
export async function findShapes(model: Model, view: GraphView, options: { batch?: number; given?: Readonly<Record<string, readonly number[]>> } = {}): Promise<ValueShapes> {
  const candidates = inputShapeCandidates(view, options.batch ?? 1);
  let failure = '';
  for (const candidate of candidates) {
    try { return await runShapes(model, view, { ...candidate, ...options.given }); } catch (error) {
      if (!(error instanceof InputError) || messageOf(error).startsWith(loadFailure)) throw error; // what can't be loaded fits no shape
      failure = messageOf(error);
    }
  }
  if (failure.startsWith(runFailure) && view.graph.input.every((input) => !view.inputs.includes(input.name) || onlyBatchIsOpen(input))) {
    const own = Object.entries({ ...candidates[0], ...options.given }).map(([name, dims]) => `"${name}" [${dims.join(', ')}]`).join(', ');
    throw new InputError(`The model does not run on the input shapes that it declares, ${own} (${failure}). Its layers and its inputs do not fit together: export it again, and check that onnxruntime runs it.`);
  }
  throw new InputError(`The model does not run on any of the usual input shapes (${failure}). Export it with inputs of fixed size, such as height and width, and an open batch.`);
}
