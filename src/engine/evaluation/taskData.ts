import type { GraphProto, ModelProto } from 'onnx-buf';
import type { Dataset, TensorDataset } from '../data/dataset.ts';
import { findPreprocessing } from '../data/findPreprocessing.ts';
import { loadImages } from '../data/loadImages.ts';
import { type Preprocessing, parsePreprocessing } from '../data/preprocessing.ts';
import { describePreprocessing } from '../data/recipes.ts';
import { InputError } from '../errors.ts';
import { Random } from '../numerics/random.ts';
import { GraphView } from '../onnx/graphView.ts';
import { Session, floats } from '../runtime/session.ts';
import { declaredDims } from '../runtime/shapes.ts';
import { probabilityOf, topClass } from './answers.ts';
import { fixedBatch, runSamples } from './fixedBatch.ts';
import { recordedPreprocessing } from './recordedPreprocessing.ts';
import { type Samples, requireSamples } from './samples.ts';

type Model = ModelProto & { graph: GraphProto };

/** How images are brought into a model: found once on the validation data, used for all others. */
export interface Preparation { readonly recipe: Preprocessing | undefined; readonly description: string; /** Name and dimensions of the model's first input, batch first. */ readonly inputName: string; readonly inputDims: readonly number[] }

export interface OpenOptions { readonly preprocess?: string; readonly seed: number; readonly signal?: AbortSignal; readonly threads?: number }

/**
 * Finds how a data set's images have to be prepared for a model: as told, as the model itself tells, or by trying the usual recipes and keeping the one with the best accuracy
 * (labelled images) or the most confident answers (unlabelled ones).
 * @param inputDims of the model's one input, batch first
 */
export async function prepare(model: Model, dataset: Dataset, inputDims: readonly number[], options: OpenOptions): Promise<Preparation> {
  const inputName = new GraphView(model.graph).inputs[0] ?? '';
  if (dataset.kind === 'tensors') return { recipe: undefined, description: 'ready-made tensors, fed as they are', inputName, inputDims };
  if (options.preprocess !== undefined) {
    const recipe = await parsePreprocessing(options.preprocess);
    return { recipe, description: describePreprocessing(recipe, false), inputName, inputDims };
  }
  const session = await Session.create(model, { threads: options.threads ?? 0 }), fixed = fixedBatch(model), most = fixed ?? 64;
  try {
    const input = session.inputNames[0]!, output = session.outputNames[0]!;
    const score = async (batch: Float32Array, labels: Int32Array | undefined): Promise<number> => {
      const size = inputDims.slice(1).reduce((a, b) => a * b, 1), count = batch.length / size;
      let sum = 0;
      for (let from = 0; from < count; from += most) {
        const n = Math.min(most, count - from);
        const scores = (await runSamples(session, fixed, { [input]: floats(batch.subarray(from * size, (from + n) * size), [n, ...inputDims.slice(1)]) }, [output]))[output]!;
        const classes = scores.dims[1] ?? 1, data = scores.data as Float32Array, positions = data.length / (n * classes);
        for (let i = 0; i < n; i++) {
          const base = i * classes * positions, top = topClass(data, base, positions, classes);
          sum += labels ? Number(top === labels[from + i]) : probabilityOf(data, base, positions, classes, top);
        }
      }
      return sum / count;
    };
    const found = await findPreprocessing(dataset, inputDims, score, { seed: options.seed, recorded: recordedPreprocessing(model), ...(options.signal ? { signal: options.signal } : {}) });
    return { recipe: found.recipe, description: found.description, inputName, inputDims };
  } finally {
    await session.release();
  }
}

/**
 * Reads images for a model into memory.
 * @param chosen their numbers
 * @returns images in a seeded random order, so that the first few of them are a fair sample as well
 */
export async function loadTaskData(dataset: Dataset, preparation: Preparation, chosen: readonly number[], options: OpenOptions): Promise<Samples> {
  const order = new Random(options.seed).shuffle([...chosen]), { inputDims, inputName, recipe } = preparation;
  requireSamples(order.length, dataset.path);
  const inputs = dataset.kind === 'images'
    ? [{ name: inputName, type: 'float32', dims: inputDims.slice(1), data: await loadImages(dataset, recipe!, inputDims, order, options.signal ? { signal: options.signal } : {}) }]
    : Object.entries(await dataset.read(order)).map(([name, { type, dims, data }]) => ({ name: name === '' ? inputName : name, type, dims: dims.slice(1), data }));
  return { inputs, count: order.length, ...(dataset.labels ? { labels: Int32Array.from(order, (i) => dataset.labels![i]!) } : {}) };
}

/**
 * Dimensions of the model's first data input, with the images' size where the model leaves it open. Tensors are fed to every input by its name.
 * @throws {InputError} for images and several inputs, tensors of another shape, or an input without data
 */
export async function taskInputDims(model: Model, dataset: Dataset): Promise<readonly number[]> {
  const view = new GraphView(model.graph);
  if (dataset.kind === 'tensors') return tensorDims(model, view, dataset);
  if (view.inputs.length !== 1) throw new InputError(`The model has ${view.inputs.length} inputs (${view.inputs.join(', ')}), so images alone are not enough; give an .npz with an array for each input, by its name.`);
  const dims = declaredDims(model.graph.input.find(({ name }) => name === view.inputs[0])!);
  if (dims.length !== 4) throw new InputError(`The model's input "${view.inputs[0]}" has ${dims.length} dimensions, not those of an image [N, C, H, W]; give its data as .npy or .npz tensors.`);
  const first = (await dataset.read([0]))[0]!;
  return dims[3] !== undefined && dims[3] <= 4 && dims[1] === undefined
    ? [1, dims[1] ?? first.height, dims[2] ?? first.width, dims[3]]
    : [1, dims[1] ?? 3, dims[2] ?? first.height, dims[3] ?? first.width];
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
