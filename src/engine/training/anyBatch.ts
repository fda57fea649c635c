import type { GraphProto, ModelProto, NodeProto } from 'onnx-buf';
import { InputError, UnsupportedModelError } from '../errors.ts';
import { fixedBatch } from '../evaluation/fixedBatch.ts';
import { makeNode } from '../onnx/attributes.ts';
import { valueInfo } from '../onnx/buildModel.ts';
import { GraphView } from '../onnx/graphView.ts';
import { DataType, int64Tensor, intsOf } from '../onnx/tensor.ts';
import { concatenated } from '../numerics/concatenated.ts';
import { Session, type Tensor } from '../runtime/session.ts';
import { runShapes } from '../runtime/shapes.ts';

type Model = ModelProto & { graph: GraphProto };

/** Samples that a model is fed with. */
export interface Fed {
  /** Shape of one sample by the name of the model's input. */
  readonly dims: Readonly<Record<string, readonly number[]>>;
  /** Inputs of that many samples, repeated in turn where there are fewer. */
  show(count: number): Promise<Readonly<Record<string, Tensor>>>;
}

/**
 * The same model for samples of these shapes, in any number. One that fixes its batch has it in its size constants as well: of Reshape, Expand and Resize of what comes from the inputs the first size is then left open.
 * @throws {UnsupportedModelError} where a model that fixes its batch would answer otherwise
 */
export async function anyBatch(model: Model, { dims, show }: Fed): Promise<Model> {
  const fixed = fixedBatch(model), input = model.graph.input.map((value) => {
    const own = dims[value.name], type = value.type?.value;
    return own === undefined ? value : valueInfo(value.name, ['batch', ...own], type?.case === 'tensorType' ? type.value.elemType : DataType.FLOAT);
  });
  if (fixed === undefined) return { ...model, graph: { ...model.graph, input } };
  const open = { ...model, graph: { ...await withOpenShapes(model, fixed, dims), input, output: model.graph.output.map(({ name }) => valueInfo(name)), valueInfo: [] } }, failed = (reason: string, cause?: unknown): UnsupportedModelError =>
    new UnsupportedModelError(`The model takes batches of ${fixed} only, and can't be opened to others for training (${reason}). Export it with an open batch.`, { cause });
  try {
    if (!await answersAlike(model, open, fixed, await show(2 * fixed))) throw failed('its answers would be others');
  } catch (error) {
    throw error instanceof InputError ? failed(error.message, error) : error;
  }
  return open;
}

/** The input that holds the sizes of the output. */
const sizesInput: Readonly<Record<string, number | undefined>> = { Reshape: 1, Expand: 1, Resize: 3 };

/** The graph with sizes that leave the first open, wherever they are constants, of what comes from the inputs. */
async function withOpenShapes(model: Model, batch: number, dims: Fed['dims']): Promise<GraphProto> {
  const view = new GraphView(model.graph), { shapes } = await runShapes(model, view, Object.fromEntries(Object.entries(dims).map(([name, own]) => [name, [batch, ...own]])));
  const fromInputs = new Set(view.inputs), initializer = [...model.graph.initializer];
  for (const node of view.nodes) if (node.input.some((value) => fromInputs.has(value))) for (const output of node.output) fromInputs.add(output);
  const ints = (name: string, values: readonly number[]): string => { initializer.push(int64Tensor(name, [values.length], values)); return name; };
  const opened = (node: NodeProto): NodeProto[] => {
    const at = sizesInput[node.opType], data = node.input[0]!, given = at !== undefined && fromInputs.has(data) ? view.constants.get(node.input[at] ?? '') : undefined;
    const [first = 0, ...others] = given ? intsOf(given) : [], output = node.output[0]!, [size, ...sizes] = shapes.get(output)!, same = shapes.get(data)![0] === size && others.length === sizes.length;
    if (first <= 0 || !(same || node.opType === 'Reshape')) return [node]; // open as it is, or none of the batch
    const name = `${output}/sizes`, read = (): NodeProto => ({ ...node, attribute: node.attribute.filter((each) => each.name !== 'allowzero'), input: node.input.map((value, i) => (i === at ? name : value)) });
    if (node.opType !== 'Resize') {
      ints(name, !same ? [-1, ...sizes] : [node.opType === 'Reshape' ? 0 : 1, ...others]); // 0 is the size that comes in, and Expand keeps it over 1
      return [read()];
    }
    return [
      makeNode('Shape', [data], [`${name}/all`]), makeNode('Slice', [`${name}/all`, ints(`${name}/from`, [0]), ints(`${name}/to`, [1])], [`${name}/first`]),
      makeNode('Concat', [`${name}/first`, ints(`${name}/others`, others)], [name], { axis: 0 }), read(),
    ];
  };
  return { ...model.graph, node: view.nodes.flatMap(opened), initializer };
}

/** Furthest that answers may be apart, as a share of their size: float32's rounding, whatever the order of sums. */
const rounding = 1e-3;

/** Whether an opened model answers to two batches at once as the original does to one after the other. */
async function answersAlike(original: Model, open: Model, batch: number, feeds: Readonly<Record<string, Tensor>>): Promise<boolean> {
  const half = (index: number): Record<string, Tensor> => Object.fromEntries(Object.entries(feeds).map(([name, { type, dims, data }]) => [name, { type, dims: [batch, ...dims.slice(1)], data: data.subarray((index * data.length) / 2, ((index + 1) * data.length) / 2) }]));
  const [first, second, both] = [await answers(original, half(0)), await answers(original, half(1)), await answers(open, feeds)];
  return Object.entries(both).every(([name, { data }]) => {
    if (!(data instanceof Float32Array)) return true; // numbers of classes may be others where two score alike
    const parts = [first, second].map((each) => each[name]!.data as Float32Array);
    return alike(data, concatenated(parts)) || parts.every((part) => alike(data, part)); // what does not hang on samples is the same for all
  });
}

const alike = (a: Float32Array, b: Float32Array): boolean => a.length === b.length && a.reduce((sum, value, i) => sum + (value - b[i]!) ** 2, 0) <= rounding ** 2 * b.reduce((sum, value) => sum + value ** 2, 0);

async function answers(model: Model, feeds: Readonly<Record<string, Tensor>>): Promise<Record<string, Tensor>> {
  const session = await Session.create(model, { threads: 1 });
  try { return await session.run(feeds); } finally { await session.release(); }
}
