import type { GraphProto, ModelProto } from 'onnx-buf';
import type { Dataset, ImageSize, TensorDataset } from '../data/dataset.ts';
import { type BatchScorer, findPreprocessing } from '../data/findPreprocessing.ts';
import { loadImages } from '../data/loadImages.ts';
import { type Preprocessing, inputSizeOf, layoutOfRecipe, otherLayout, parsePreprocessing } from '../data/preprocessing.ts';
import { describePreprocessing } from '../data/recipes.ts';
import { InputError } from '../errors.ts';
import { Random } from '../numerics/random.ts';
import { GraphView } from '../onnx/graphView.ts';
import { inType } from '../runtime/elementTypes.ts';
import { Session } from '../runtime/session.ts';
import { declaredDims, declaredType, isChannelsLast } from '../runtime/shapes.ts';
import { classReader, probabilityOf, topClass } from './answers.ts';
import { fixedBatch } from './fixedBatch.ts';
import { recordedPreprocessing } from './recordedPreprocessing.ts';
import { type SampleInput, type Samples, answersTo, batchesOf, firstSamples, requireSamples, usualBatch } from './samples.ts';

type Model = ModelProto & { graph: GraphProto };

/** Side of the images that most networks take, and the longest side of an image file that is taken as it is, in pixels. */
const usualSide = 224, largestKept = 512;

/** An input that a model is fed by, and its element type by onnxruntime's name. */
export interface ModelInput { readonly name: string; readonly type: string }

/** How images are brought into a model: found once on the validation data, used for all others. */
export interface Preparation { readonly recipe: Preprocessing | undefined; readonly description: string; /** Of the model; images go into the first. */ readonly inputs: readonly ModelInput[]; /** Of the first input, batch first. */ readonly inputDims: readonly number[] }

/** What a model of these inputs reads of a data set: of images with further arrays beside them all arrays, where it has several inputs. */
const readBy = async (inputs: readonly unknown[], dataset: Dataset): Promise<Dataset> => (dataset.kind === 'images' && inputs.length > 1 ? await dataset.tensors?.() : undefined) ?? dataset;

export interface OpenOptions { readonly preprocess?: string; readonly seed: number; readonly signal?: AbortSignal; readonly threads?: number }

/**
 * Finds how a data set's images have to be prepared for a model: as told, as the model itself tells, or by trying the usual recipes and keeping the one with the best accuracy
 * (labelled images) or the most confident answers (unlabelled ones).
 * @param inputDims of the model's one input, batch first
 */
export async function prepare(model: Model, data: Dataset, inputDims: readonly number[], options: OpenOptions): Promise<Preparation> {
  const inputs = inputsOf(model), dataset = await readBy(inputs, data);
  const recipe = options.preprocess === undefined ? undefined : await parsePreprocessing(options.preprocess, layoutOfRecipe(inputDims));
  if (dataset.kind === 'tensors') return { recipe: undefined, description: `ready-made tensors, fed as they are${recipe ? ': the recipe that was given is of no effect' : ''}`, inputs, inputDims };
  if (recipe) return { recipe, description: describePreprocessing(recipe, false) + otherLayout(inputDims, recipe.layout) + chosenSize(model, inputDims, recipe), inputs, inputDims };
  const session = await Session.create(model, { threads: options.threads ?? 0 });
  try {
    const score = scorer(model, session, inputs[0]!.name, inputDims.slice(1));
    const found = await findPreprocessing(dataset, inputDims, score, { seed: options.seed, recorded: recordedPreprocessing(model), ...(options.signal ? { signal: options.signal } : {}) });
    return { recipe: found.recipe, description: found.description + chosenSize(model, inputDims, found.recipe), inputs, inputDims };
  } finally {
    await session.release();
  }
}

/**
 * How well a model does on prepared images: its accuracy, or its mean confidence where they have no labels, by its first output of one float32 row a sample. 0 where it has none: then nothing tells
 * recipes apart. @param dims of one image
 */
function scorer(model: Model, session: Session, name: string, dims: readonly number[]): BatchScorer {
  const fixed = fixedBatch(model), read = classReader(model);
  return async (data, labels) => {
    const images: Samples = { count: data.length / dims.reduce((a, b) => a * b, 1), inputs: [{ name, type: 'float32', dims, data }] };
    let sum = 0;
    for (const batch of batchesOf(firstSamples(images.count), fixed ?? usualBatch)) {
      const answers = await answersTo(session, images, batch, fixed), own = session.outputNames.find((output) => answers[output]!.data instanceof Float32Array && answers[output]!.dims[0] === batch.length);
      if (own === undefined) return 0;
      const scores = labels ? read(answers[own]!, own) : answers[own]!, values = scores.data as Float32Array, classes = scores.dims[1] ?? 1, positions = values.length / (batch.length * classes);
      batch.forEach((image, i) => {
        const base = i * classes * positions, top = topClass(values, base, positions, classes);
        sum += labels ? Number(top === labels[image]) : probabilityOf(values, base, positions, classes, top);
      });
    }
    return sum / images.count;
  };
}

/**
 * Reads samples for a model into memory; arrays for which it has no input are left out.
 * @param order their numbers
 */
export async function loadSamples(data: Dataset, { inputDims, inputs: own, recipe }: Preparation, order: readonly number[], { signal }: Pick<OpenOptions, 'signal'>): Promise<Samples> {
  const first = own[0]!.name, dataset = await readBy(own, data);
  requireSamples(order.length, dataset.path);
  const inputs = dataset.kind === 'images'
    ? [{ name: first, type: 'float32', dims: inputDims.slice(1), data: await loadImages(dataset, recipe!, inputDims, order, signal ? { signal } : {}) }]
    : Object.entries(await dataset.read(order)).flatMap(([given, { type, dims, data }]) => {
        const name = given === '' ? first : given, input = own.find((each) => each.name === name);
        return input ? [fed({ name, type, dims: dims.slice(1), data }, input.type, dataset.path)] : [];
      });
  return { inputs, count: order.length, ...(dataset.labels ? { labels: Int32Array.from(order, (i) => dataset.labels![i]!) } : {}) };
}

/** An array in the element type that the model's input takes. @throws {InputError} where its numbers are of another kind, or none of that type */
function fed(array: SampleInput, type: string, path: string): SampleInput {
  const fitting = inType(array, type);
  if (!fitting) throw new InputError(`${path} holds ${array.type} numbers for the model's input "${array.name}", which takes ${type}: store them as ${type}${array.type === 'uint8' ? ', prepared as the model takes them, or as "images", whose preparation is found' : ''}.`);
  return fitting;
}

const inputsOf = ({ graph }: Model): ModelInput[] => {
  const { inputs } = new GraphView(graph);
  return inputs.map((name) => ({ name, type: declaredType(graph.input.find((input) => input.name === name)!) }));
};

/** The same in a seeded random order, so that the first few of them are a fair sample as well. @param chosen their numbers */
export const loadTaskData = (dataset: Dataset, preparation: Preparation, chosen: readonly number[], options: OpenOptions): Promise<Samples> => loadSamples(dataset, preparation, new Random(options.seed).shuffle([...chosen]), options);

/**
 * Dimensions of the model's first data input, with the images' size where the model leaves it open (for files larger than 512 pixels: 224 x 224). Tensors are fed to every input by its name.
 * @throws {InputError} for images alone and several inputs, tensors of another shape, or an input without data
 */
export async function taskInputDims(model: Model, data: Dataset): Promise<readonly number[]> {
  const view = new GraphView(model.graph), dataset = await readBy(view.inputs, data);
  if (dataset.kind === 'tensors') return tensorDims(model, view, dataset);
  if (view.inputs.length !== 1) throw new InputError(`The model has ${view.inputs.length} inputs (${view.inputs.join(', ')}), so images alone are not enough; give an .npz with an array for each input, by its name.`);
  const dims = declaredDims(model.graph.input.find(({ name }) => name === view.inputs[0])!);
  if (dims.length !== 4) throw new InputError(`The model's input "${view.inputs[0]}" has ${dims.length} dimensions, not those of an image [N, C, H, W]; give its data as an .npz with an array named "${view.inputs[0]}".`);
  const { height, width } = dataset.size ?? usualSize((await dataset.read([0]))[0]!);
  return isChannelsLast(dims)
    ? [1, height, dims[2] ?? width, dims[3]!]
    : [1, dims[1] ?? 3, dims[2] ?? height, dims[3] ?? width];
}

/**
 * How another data set of a run is brought into the model: images as the validation data's were, to the same size; tensors as they are.
 * @throws {InputError} for data that do not fit the model, or images beside ready-made tensors, whose preparation nobody knows
 */
export async function prepareAlike(model: Model, dataset: Dataset, preparation: Preparation): Promise<Preparation> {
  const inputDims = await taskInputDims(model, dataset);
  if ((await readBy(preparation.inputs, dataset)).kind !== 'images') return { ...preparation, inputDims };
  if (!preparation.recipe) throw new InputError(`${dataset.path} holds images, but the validation data are ready-made tensors, which do not tell how images are prepared: give both in the same form.`);
  return preparation;
}

/** What image files are brought to where the model leaves its size open: the first one's size, but photographs to the usual one, as a network costs a hundred times as much on them whole. */
const usualSize = ({ height, width }: ImageSize): ImageSize => (Math.max(height, width) > largestKept ? { height: usualSide, width: usualSide } : { height, width });

/** ", at 224 x 224 as the model leaves its size open", where it does. */
function chosenSize({ graph }: Model, inputDims: readonly number[], { layout }: Preprocessing): string {
  const [first] = new GraphView(graph).inputs;
  if (declaredDims(graph.input.find(({ name }) => name === first)!).slice(1).every((dim) => dim !== undefined)) return '';
  const { height, width } = inputSizeOf(inputDims, layout);
  return `, at ${height} x ${width} as the model leaves its size open`;
}

/** Checks that there is a fitting array for every input. @returns the first input's dimensions */
function tensorDims(model: Model, view: GraphView, dataset: TensorDataset): readonly number[] {
  const given = dataset.inputs.map(({ name, dims }) => ({ name: name === '' ? view.inputs[0]! : name, dims }));
  for (const name of view.inputs) {
    const own = given.find((each) => each.name === name)?.dims, dims = declaredDims(model.graph.input.find((input) => input.name === name)!);
    if (!own) throw new InputError(`${dataset.path} has no array for the model's input "${name}" (it has ${given.map((each) => `"${each.name}"`).join(', ')}).`);
    if (dims.length > 0 && (own.length + 1 !== dims.length || own.some((dim, i) => dims[i + 1] !== undefined && dims[i + 1] !== dim))) throw new InputError(`${dataset.path} holds tensors of [${own.join(', ')}], but the model's input "${name}" takes [${dims.slice(1).map((dim) => dim ?? '?').join(', ')}].`);
  }
  return [1, ...given.find(({ name }) => name === view.inputs[0])!.dims];
}
