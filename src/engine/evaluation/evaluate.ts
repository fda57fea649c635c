import type { GraphProto, ModelProto } from 'onnx-buf';
import { classCountOf, requireLabels, type Dataset } from '../data/dataset.ts';
import { openDataset } from '../data/openDataset.ts';
import { fairSubset } from '../data/subset.ts';
import { CancelledError, InputError } from '../errors.ts';
import { loadModel } from '../onnx/modelFile.ts';
import type { Metric } from '../protocol.ts';
import { Session, type Tensor } from '../runtime/session.ts';
import { type Truth, answersOf, classReader, holdsClasses, scoresOf, tally } from './answers.ts';
import { doubtsAbout } from './doubts.ts';
import { fixedBatch } from './fixedBatch.ts';
import { answersTo, batchesOf, firstSamples, usualBatch } from './samples.ts';
import { type OpenOptions, loadSamples, prepare, taskInputDims } from './taskData.ts';

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

/** A model that is run: its session, and the batch that it fixes. */
interface Running { readonly session: Session; readonly fixed: number | undefined }
const started = async (model: Model, threads: number): Promise<Running> => ({ session: await Session.create(model, { threads }), fixed: fixedBatch(model) });

/** Counts right answers over a data set, a batch at a time. @param judge how many of a batch's answers are right, and of how many */
async function overBatches(indices: Int32Array, size: number, { signal, progress }: EvaluateOptions, judge: (batch: Int32Array) => Promise<{ right: number; answers: number }>): Promise<number> {
  let right = 0, answers = 0, done = 0;
  for (const batch of batchesOf(indices, size)) {
    if (signal?.aborted) throw new CancelledError();
    const counted = await judge(batch);
    right += counted.right;
    answers += counted.answers;
    progress?.((done += batch.length) / indices.length);
    await new Promise(setImmediate); // runs keep the thread busy: let cancellation through
  }
  return right / answers;
}

/**
 * The accuracy of a model on a data set, which is read a batch at a time.
 * @throws {InputError} when labels are missing or outside the model's classes, or data and model don't fit
 */
export async function evaluateModel(model: Model, dataset: Dataset, options: EvaluateOptions = {}): Promise<Evaluation> {
  const { limit = Infinity, seed = 0, threads = 0, against, preprocess, signal, metric = dataset.labels ? 'top1' : 'agreement' } = options;
  if (metric === 'agreement' && against === undefined) throw new InputError(`${dataset.labels ? 'Metric agreement' : `${dataset.path} has no labels: agreement`} needs the model to agree with: give --against MODEL.`);
  if (metric !== 'agreement' && against !== undefined) throw new InputError(`Option --against is for agreement, but ${metric} is measured by the labels of ${dataset.path}. Add --metric agreement, or leave out --against.`);
  const open: OpenOptions = { seed, threads, ...(preprocess === undefined ? {} : { preprocess }), ...(signal ? { signal } : {}) };
  const preparation = await prepare(model, dataset, await taskInputDims(model, dataset), open), indices = Int32Array.from(fairSubset(dataset, limit, seed));
  const running = [await started(model, threads)];
  try {
    if (metric === 'agreement') running.push(await started((await loadModel(against!)).proto, threads));
    const [{ session }, other] = running as [Running, Running | undefined], names = metric === 'agreement' ? session.outputNames : session.outputNames.slice(0, 1);
    const read = other ? (output: Tensor): Tensor => output : classReader(model);
    let classes: number | undefined;
    const value = await overBatches(indices, Math.min(...running.map(({ fixed }) => fixed ?? usualBatch)), options, async (batch) => {
      const samples = await loadSamples(dataset, preparation, [...batch], open), answersOfAll = (each: Running, outputs?: readonly string[]) => answersTo(each.session, samples, firstSamples(samples.count), each.fixed, outputs);
      const outputs = await answersOfAll(running[0]!, names), first = read(outputs[names[0]!]!, names[0]!);
      if (classes === undefined) {
        classes = other ? (holdsClasses(first) ? first.dims[1]! : 0) : scoresOf(first, names[0]!).classes;
        if (!other) requireLabels(dataset, classes);
      }
      const truthOf = other ? theirTruth(await answersOfAll(other), samples.count) : (): Truth => ({ classes: samples.labels! });
      const judged = names.flatMap((name) => { const truth = truthOf(name); return truth ? [tally(read(outputs[name]!, name), truth, metric, name)] : []; });
      if (judged.length === 0) throw new InputError('The two models have no output in common that holds one float32 answer a sample.');
      return { right: judged.flat().reduce((sum, { right, answers }) => sum + right / answers, 0), answers: judged.length * batch.length };
    });
    const measured = { metric, images: indices.length, classes: classes || classCountOf(dataset) };
    const notes = doubtsAbout(dataset.path, { ...measured, accuracy: value, ...(dataset.classNames ? { classNames: dataset.classNames } : {}) });
    return { ...measured, value, dataset: dataset.path, labelled: dataset.labels !== undefined, preprocessing: preparation.description, notes };
  } finally {
    for (const { session } of running) await session.release();
  }
}

/** What another model answers, by an output's name, or by its only one; undefined where that is not one float32 answer a sample. */
const theirTruth = (theirs: Readonly<Record<string, Tensor>>, samples: number) => (name: string): Truth | undefined => {
  const all = Object.values(theirs), output = theirs[name] ?? (all.length === 1 ? all[0] : undefined);
  return output && output.data instanceof Float32Array && output.dims[0] === samples ? answersOf(output, name) : undefined;
};

/** The accuracy of a model file on data: a path to any kind that openDataset reads. */
export async function evaluateFiles(modelPath: string, dataPath: string, options: EvaluateOptions = {}): Promise<Evaluation> {
  const { proto } = await loadModel(modelPath);
  const dataset = await openDataset(dataPath);
  try { return await evaluateModel(proto, dataset, options); } finally { await dataset.close(); }
}
