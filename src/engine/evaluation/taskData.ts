import type { GraphProto, ModelProto } from 'onnx-buf';
import type { Dataset, ImageDataset } from '../data/dataset.ts';
import { findPreprocessing } from '../data/findPreprocessing.ts';
import { loadImages } from '../data/loadImages.ts';
import { type Preprocessing, parsePreprocessing } from '../data/preprocessing.ts';
import { describePreprocessing } from '../data/recipes.ts';
import { evenSubset, stratifiedSubset } from '../data/subset.ts';
import { InputError } from '../errors.ts';
import { Random } from '../numerics/random.ts';
import { GraphView } from '../onnx/graphView.ts';
import { Session, type Tensor, floats } from '../runtime/session.ts';
import type { JudgeImages } from './judge.ts';

type Model = ModelProto & { graph: GraphProto };

/** Images of a data set as a model wants them, and how they were prepared. */
export interface TaskData { readonly images: JudgeImages; readonly classNames?: readonly string[]; readonly description: string; readonly total: number }

/** How images are brought into a model: found once on the validation data, used for all others. */
export interface Preparation { readonly recipe: Preprocessing | undefined; readonly description: string; readonly inputDims: readonly number[] }

export interface OpenOptions { readonly preprocess?: string; readonly seed: number; readonly signal?: AbortSignal; readonly threads?: number }

/**
 * Finds how a data set's images have to be prepared for a model: as told, or by trying the usual recipes and keeping the one with the best accuracy
 * (labelled images) or the most confident answers (unlabelled ones).
 * @param inputDims of the model's one input, batch first
 */
export async function prepare(model: Model, dataset: Dataset, inputDims: readonly number[], options: OpenOptions): Promise<Preparation> {
  if (dataset.kind === 'tensors') return { recipe: undefined, description: 'ready-made tensors, fed as they are', inputDims };
  if (options.preprocess !== undefined) {
    const recipe = await parsePreprocessing(options.preprocess);
    return { recipe, description: describePreprocessing(recipe, false), inputDims };
  }
  const session = await Session.create(model, { threads: options.threads ?? 0 });
  try {
    const input = session.inputNames[0]!, output = session.outputNames[0]!;
    const score = async (batch: Float32Array, labels: Int32Array | undefined): Promise<number> => {
      const size = inputDims.slice(1).reduce((a, b) => a * b, 1), count = batch.length / size;
      let sum = 0;
      for (let from = 0; from < count; from += 64) {
        const n = Math.min(64, count - from);
        const scores = (await session.run({ [input]: floats(batch.subarray(from * size, (from + n) * size), [n, ...inputDims.slice(1)]) }, [output]))[output]!;
        const classes = scores.dims[1] ?? 1, data = scores.data as Float32Array, positions = data.length / (n * classes);
        for (let i = 0; i < n; i++) sum += labels ? Number(argmaxAt(data, i * classes * positions, classes, positions) === labels[from + i]) : confidenceAt(data, i * classes * positions, classes, positions);
      }
      return sum / count;
    };
    const found = await findPreprocessing(dataset, inputDims, score, { seed: options.seed, ...(options.signal ? { signal: options.signal } : {}) });
    return { recipe: found.recipe, description: found.description, inputDims };
  } finally {
    await session.release();
  }
}

function argmaxAt(data: Float32Array, from: number, classes: number, stride: number): number {
  let at = 0;
  for (let c = 1; c < classes; c++) if (data[from + c * stride]! > data[from + at * stride]!) at = c;
  return at;
}

/** The largest softmax probability: how sure a classifier is. */
function confidenceAt(data: Float32Array, from: number, classes: number, stride: number): number {
  const top = data[from + argmaxAt(data, from, classes, stride) * stride]!;
  let sum = 0;
  for (let c = 0; c < classes; c++) sum += Math.exp(data[from + c * stride]! - top);
  return 1 / sum;
}

/**
 * Reads images for a model into memory.
 * @param count at most so many: with labels every class in its proportion, otherwise evenly spread
 * @returns images in a seeded random order, so that the first few of them are a fair sample as well
 */
export async function loadTaskData(dataset: Dataset, preparation: Preparation, count: number, options: OpenOptions): Promise<TaskData> {
  const chosen = new Random(options.seed).shuffle(dataset.labels ? stratifiedSubset(dataset.labels, count, options.seed) : evenSubset(dataset.count, count));
  const { inputDims, recipe } = preparation;
  const values = dataset.kind === 'images'
    ? await loadImages(dataset, recipe!, inputDims, chosen, options.signal ? { signal: options.signal } : {})
    : await loadTensors(dataset, chosen);
  const images: JudgeImages = { values, imageDims: inputDims.slice(1), count: chosen.length, ...(dataset.labels ? { labels: Int32Array.from(chosen, (i) => dataset.labels![i]!) } : {}) };
  return { images, description: dataset.description, total: dataset.count, ...(dataset.classNames ? { classNames: dataset.classNames } : {}) };
}

async function loadTensors(dataset: Exclude<Dataset, ImageDataset>, chosen: readonly number[]): Promise<Float32Array> {
  if (dataset.inputs.length !== 1) throw new InputError(`${dataset.path} holds ${dataset.inputs.length} arrays; models with several inputs can't be compressed yet.`);
  const [tensor] = Object.values(await dataset.read(chosen));
  if (!(tensor!.data instanceof Float32Array)) throw new InputError(`${dataset.path}: expected float32 tensors, got ${tensor!.type}.`);
  return tensor!.data;
}

/** Dimensions of the model's one data input, with the images' size where the model leaves it open. @throws {InputError} for several inputs, or tensors of another shape */
export async function taskInputDims(model: Model, dataset: Dataset): Promise<readonly number[]> {
  const view = new GraphView(model.graph);
  if (view.inputs.length !== 1) throw new InputError(`The model has ${view.inputs.length} inputs (${view.inputs.join(', ')}); models with several inputs can't be compressed yet.`);
  const declared = model.graph.input.find(({ name }) => name === view.inputs[0])!;
  const shape = declared.type?.value.case === 'tensorType' ? (declared.type.value.value.shape?.dim ?? []) : [];
  const dims = shape.map(({ value }) => (value.case === 'dimValue' && value.value > 0n ? Number(value.value) : undefined));
  if (dataset.kind === 'tensors') {
    const own = dataset.inputs[0]!.dims;
    if (own.length + 1 !== dims.length || own.some((dim, i) => dims[i + 1] !== undefined && dims[i + 1] !== dim)) throw new InputError(`${dataset.path} holds tensors of [${own.join(', ')}], but the model's input "${view.inputs[0]}" takes [${dims.slice(1).map((dim) => dim ?? '?').join(', ')}].`);
    return [1, ...own];
  }
  if (dims.length !== 4) throw new InputError(`The model's input "${view.inputs[0]}" has ${dims.length} dimensions, not those of an image [N, C, H, W]; give its data as .npy or .npz tensors.`);
  const first = (await dataset.read([0]))[0]!;
  return dims[3] !== undefined && dims[3] <= 4 && dims[1] === undefined
    ? [1, dims[1] ?? first.height, dims[2] ?? first.width, dims[3]]
    : [1, dims[1] ?? 3, dims[2] ?? first.height, dims[3] ?? first.width];
}

/** Images as chunks that are fed to a network one after the other; what does not fill a last chunk is left out. */
export function chunked(images: JudgeImages, input: string, count: number, chunk: number): Record<string, Tensor[]> {
  const size = images.values.length / images.count, chunks = Math.max(1, Math.floor(Math.min(count, images.count) / chunk)), each = Math.min(chunk, images.count);
  return { [input]: Array.from({ length: chunks }, (_, i) => floats(images.values.subarray(i * each * size, (i + 1) * each * size), [each, ...images.imageDims])) };
}
