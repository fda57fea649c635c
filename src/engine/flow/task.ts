import { type Dataset, classCountOf, formatCount, requireLabels } from '../data/dataset.ts';
import { openDataset } from '../data/openDataset.ts';
import { dividedData, fairSubset } from '../data/subset.ts';
import { classReader, holdsClasses, scoresOf } from '../evaluation/answers.ts';
import { doubtsAbout } from '../evaluation/doubts.ts';
import { fixedBatch } from '../evaluation/fixedBatch.ts';
import { Judge } from '../evaluation/judge.ts';
import { type Samples, answersTo, firstSamples } from '../evaluation/samples.ts';
import { type Preparation, loadTaskData, prepare, prepareAlike, taskInputDims } from '../evaluation/taskData.ts';
import { InputError } from '../errors.ts';
import type { CompressOptions, Metric } from '../protocol.ts';
import { Session } from '../runtime/session.ts';
import type { Network } from './network.ts';

/** What candidates are judged and repaired on. */
export interface Task {
  readonly judge: Judge;
  readonly calibration: Samples;
  readonly preparation: Preparation;
  readonly dataset: string;
  readonly classes: number;
  readonly classNames?: readonly string[];
  readonly notes: readonly string[];
  /** Those of the notes that should be read before the run goes on. */
  readonly doubts: readonly string[];
}

/** Images held in memory at most, for judging and again for calibration; a larger data set is sampled, every class in its proportion. */
const memoryBytes = 1.2e9, mostImages = 10_000;

/** Opens the data of a run, finds the preprocessing, loads images, and measures the original model on them. */
export async function openTask({ proto }: Network, options: CompressOptions, signal: AbortSignal): Promise<Task> {
  const open = { seed: options.seed, signal, threads: options.threads, ...(options.preprocess === undefined ? {} : { preprocess: options.preprocess }) };
  const val = await openDataset(options.val);
  try {
    const inputDims = await taskInputDims(proto, val), imageBytes = 4 * inputDims.slice(1).reduce((a, b) => a * b, 1);
    const metric = options.metric ?? (val.labels ? 'top1' : 'agreement');
    const preparation = await prepare(proto, val, inputDims, open);
    const most = Math.min(mostImages, Math.floor(memoryBytes / imageBytes)), apart = options.calibration === options.val ? undefined : options.calibration;
    const divided = apart === undefined ? dividedData(val, most, options.seed) : undefined;
    const judged = await loadTaskData(val, preparation, divided?.judging ?? fairSubset(val, most, options.seed), open);
    const classes = await classesOf(proto, judged, metric) ?? classCountOf(val);
    const named = val.classNames ? { classNames: val.classNames } : {};
    if (metric !== 'agreement') requireLabels(val, classes);
    const judge = await Judge.create(proto, judged, metric, { threads: options.threads });
    const doubts = doubtsAbout(options.val, { metric, accuracy: judge.original, images: judged.count, classes, ...named });
    const { calibration, notes } = await calibrationData();
    if (options.finetune > 0) await checkTrainingData();
    return {
      judge, calibration, preparation, dataset: options.val, classes, notes: [...doubts, ...notes], doubts, ...named,
    };

    /** What is wrong with the data of fine-tuning is told now, not after the search. */
    async function checkTrainingData(): Promise<void> {
      const path = options.train ?? apart, dataset = path === undefined ? val : await openDataset(path);
      try {
        await prepareAlike(proto, dataset, preparation);
        if (dataset.labels && scoresClasses(judge)) requireSameClasses(dataset, val, classes);
      } finally { if (dataset !== val) await dataset.close(); }
    }

    /** What networks are repaired on: the calibration data; without any, the validation data that do not judge. */
    async function calibrationData(): Promise<{ calibration: Samples; notes: string[] }> {
      const judging = judged.count;
      if (apart !== undefined) {
        const other = await openDataset(apart);
        try {
          const calibration = await loadTaskData(other, await prepareAlike(proto, other, preparation), fairSubset(other, most, options.seed), open);
          return { calibration, notes: judging < val.count ? [`Judged on ${judging} of ${val.count} images of ${options.val}.`] : [] };
        } finally { await other.close(); }
      }
      if (!divided) return { calibration: judged, notes: [`No calibration data were given, and ${options.val} is too small to be divided: its ${val.count} samples repaired the network and judged it, which flatters it. Give others with --calibration.`] };
      const calibration = await loadTaskData(val, preparation, divided.calibration, open);
      return { calibration, notes: [`No calibration data were given: of the ${formatCount(val.count)} samples of ${options.val}, ${formatCount(judging)} judged the networks and ${formatCount(calibration.count)} others repaired them.`] };
    }
  } finally {
    await val.close();
  }
}

/** Whether what is learnt are classes, of one output, rather than the values of outputs. */
export const scoresClasses = ({ metric, outputs }: Pick<Judge, 'metric' | 'outputs'>): boolean => metric !== 'agreement' || (outputs.length === 1 && outputs[0]!.classes);

/** @throws {InputError} where labels are outside the model's classes, or class folders are others, so that the same number stands for another class */
function requireSameClasses(dataset: Dataset, { path, classNames }: Dataset, classes: number): void {
  requireLabels(dataset, classes);
  const other = classNames && dataset.classNames ? dataset.classNames.findIndex((name, i) => name !== classNames[i]) : -1;
  if (other >= 0) throw new InputError(`${dataset.path}: class ${other} is "${dataset.classNames![other]}", but in ${path} it is ${classNames![other] === undefined ? 'none' : `"${classNames![other]}"`}. Both need folders of the same classes.`);
}

/** Number of classes that the model's first output scores; undefined where it does not. @throws {InputError} where it does not, and labels are to judge it */
async function classesOf(proto: Network['proto'], images: Samples, metric: Metric): Promise<number | undefined> {
  const session = await Session.create(proto), name = session.outputNames[0]!;
  try {
    const output = (await answersTo(session, images, firstSamples(1), fixedBatch(proto), [name]))[name]!;
    return metric !== 'agreement' ? scoresOf(classReader(proto)(output, name), name).classes : holdsClasses(output) ? output.dims[1] : undefined;
  } finally { await session.release(); }
}
