import type { GraphProto, ModelProto } from 'onnx-buf';
import { classCountOf, requireLabels, type Dataset, type RawTensor } from '../data/dataset.ts';
import { loadImages } from '../data/loadImages.ts';
import { openDataset } from '../data/openDataset.ts';
import { evenSubset, stratifiedSubset } from '../data/subset.ts';
import { CancelledError, InputError } from '../errors.ts';
import { loadModel } from '../onnx/modelFile.ts';
import type { Metric } from '../protocol.ts';
import { floats, Session, type Tensor } from '../runtime/session.ts';
import { type Truth, answersOf, holdsClasses, tally } from './answers.ts';
import { doubtsAbout } from './doubts.ts';
import { fixedBatch, runSamples } from './fixedBatch.ts';
import { type Preparation, prepare, taskInputDims } from './taskData.ts';

type Model = ModelProto & { graph: GraphProto };

export interface EvaluateOptions {
  /** Default: top1 where there are labels, agreement otherwise. */
  readonly metric?: Metric;
  /** The model to agree with; a path. Needed for agreement. */
  readonly against?: string;
  /** At most so many images: every class in its proportion, or evenly spread where there are no labels. */
  readonly limit?: number;
  readonly preprocess?: string;
  readonly seed?: number;
  readonly threads?: number;
  readonly signal?: AbortSignal;
  readonly progress?: (fraction: number) => void;
}
export interface Evaluation {
  readonly metric: Metric;
  /** Fraction in [0, 1]. */
  readonly value: number;
  readonly images: number;
  readonly dataset: string;
  readonly classes: number;
  readonly labelled: boolean;
  /** For people. */
  readonly preprocessing: string;
  /** What makes the accuracy doubtful. */
  readonly notes: readonly string[];
}

const batchImages = 64;

/** The model's feeds for some samples of a data set. */
async function feedsFor(dataset: Dataset, session: Session, { recipe, inputDims }: Preparation, indices: readonly number[]): Promise<Record<string, Tensor>> {
  if (dataset.kind === 'images') return { [session.inputNames[0]!]: floats(await loadImages(dataset, recipe!, inputDims, indices), [indices.length, ...inputDims.slice(1)]) };
  const tensors = await dataset.read(indices);
  const byInput = Object.entries<RawTensor>(tensors).map(([name, tensor]) => [name === '' ? session.inputNames[0]! : name, tensor] as const);
  const missing = session.inputNames.find((name) => !byInput.some(([given]) => given === name));
  if (missing !== undefined) throw new InputError(`${dataset.path} has no array for the model's input "${missing}" (it has ${byInput.map(([name]) => `"${name}"`).join(', ')}).`);
  return Object.fromEntries(byInput.filter(([name]) => session.inputNames.includes(name)));
}

/** Counts right answers over a data set, a batch at a time. @param size of a batch @param judge how many of a batch's answers are right, and of how many */
async function overBatches(indices: readonly number[], size: number, { signal, progress }: EvaluateOptions, judge: (batch: readonly number[]) => Promise<{ right: number; answers: number }>): Promise<number> {
  let right = 0, answers = 0;
  for (let at = 0; at < indices.length; at += size) {
    if (signal?.aborted) throw new CancelledError();
    const counted = await judge(indices.slice(at, at + size));
    right += counted.right;
    answers += counted.answers;
    progress?.(Math.min(1, (at + size) / indices.length));
    await new Promise(setImmediate); // runs keep the thread busy: let cancellation through
  }
  return right / answers;
}

/**
 * The accuracy of a model on a data set, which is read a batch at a time.
 * @throws {InputError} when labels are missing or outside the model's classes, or data and model don't fit
 */
export async function evaluateModel(model: Model, dataset: Dataset, options: EvaluateOptions = {}): Promise<Evaluation> {
  const { limit = Infinity, seed = 0, threads = 0, against, metric = dataset.labels ? 'top1' : 'agreement' } = options;
  if (metric === 'agreement' && against === undefined) throw new InputError(`${dataset.labels ? 'Metric agreement' : `${dataset.path} has no labels: agreement`} needs the model to agree with: give --against MODEL.`);
  const inputDims = await taskInputDims(model, dataset);
  const preparation = await prepare(model, dataset, inputDims, { seed, threads, ...(options.preprocess === undefined ? {} : { preprocess: options.preprocess }), ...(options.signal ? { signal: options.signal } : {}) });
  const indices = dataset.labels ? stratifiedSubset(dataset.labels, Math.min(limit, dataset.count), seed) : evenSubset(dataset.count, limit);
  const sessions = [await Session.create(model, { threads })], fixed = [fixedBatch(model)];
  /** The right answers of a batch, by output: labels, or what the other model answers. */
  async function truths(feeds: Record<string, Tensor>, batch: readonly number[], first: Tensor): Promise<(name: string) => Truth | undefined> {
    const other = sessions[1];
    if (!other) { const labels = requireLabels(dataset, first.dims[1] ?? 0), classes = Int32Array.from(batch, (index) => labels[index]!); return () => ({ classes }); }
    const theirs = await runSamples(other, fixed[1], feeds);
    return (name) => { const output = theirs[name] ?? (other.outputNames.length === 1 ? theirs[other.outputNames[0]!] : undefined); return output && output.data instanceof Float32Array && output.dims[0] === batch.length ? answersOf(output, name) : undefined; };
  }
  try {
    if (metric === 'agreement') {
      const { proto } = await loadModel(against!);
      sessions.push(await Session.create(proto, { threads }));
      fixed.push(fixedBatch(proto));
    }
    const session = sessions[0]!;
    const names = metric === 'agreement' ? session.outputNames : session.outputNames.slice(0, 1);
    let classes = 0;
    const sizes = fixed.filter((batch) => batch !== undefined), size = sizes.length > 0 ? Math.min(...sizes) : batchImages;
    const value = await overBatches(indices, size, options, async (batch) => {
      const feeds = await feedsFor(dataset, session, preparation, batch), outputs = await runSamples(session, fixed[0], feeds, names), first = outputs[names[0]!]!;
      if (holdsClasses(first)) classes = first.dims[1]!;
      const truthOf = await truths(feeds, batch, first);
      const judged = names.filter((name) => truthOf(name) !== undefined).map((name) => tally(outputs[name]!, truthOf(name)!, metric, name));
      if (judged.length === 0) throw new InputError('The two models have no output in common that holds one float32 answer a sample.');
      return { right: judged.flat().reduce((sum, { right, answers }) => sum + right / answers, 0), answers: judged.length * batch.length };
    });
    const measured = { metric, images: indices.length, classes: classes || classCountOf(dataset) };
    const notes = doubtsAbout(dataset.path, { ...measured, accuracy: value, ...(dataset.classNames ? { classNames: dataset.classNames } : {}) });
    return { ...measured, value, dataset: dataset.path, labelled: dataset.labels !== undefined, preprocessing: preparation.description, notes };
  } finally {
    for (const session of sessions) await session.release();
  }
}

/** The accuracy of a model file on data: a path to any kind that openDataset reads. */
export async function evaluateFiles(modelPath: string, dataPath: string, options: EvaluateOptions = {}): Promise<Evaluation> {
  const { proto } = await loadModel(modelPath);
  const dataset = await openDataset(dataPath);
  try { return await evaluateModel(proto, dataset, options); } finally { await dataset.close(); }
}
