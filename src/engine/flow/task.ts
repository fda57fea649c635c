import { classCountOf, requireLabels } from '../data/dataset.ts';
import { openDataset } from '../data/openDataset.ts';
import { holdsClasses } from '../evaluation/answers.ts';
import { doubtsAbout } from '../evaluation/doubts.ts';
import { Judge, fixedBatch } from '../evaluation/judge.ts';
import { type Samples, batchOf } from '../evaluation/samples.ts';
import { type Preparation, loadTaskData, prepare, taskInputDims } from '../evaluation/taskData.ts';
import type { CompressOptions } from '../protocol.ts';
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

/** Images held in memory at most; a larger data set is sampled, every class in its proportion. */
const memoryBytes = 1.2e9, mostJudged = 10_000, mostCalibration = 10_000;

/** Opens the data of a run, finds the preprocessing, loads images, and measures the original model on them. */
export async function openTask({ proto }: Network, options: CompressOptions, signal: AbortSignal): Promise<Task> {
  const open = { seed: options.seed, signal, threads: options.threads, ...(options.preprocess === undefined ? {} : { preprocess: options.preprocess }) };
  const val = await openDataset(options.val), notes: string[] = [];
  try {
    const inputDims = await taskInputDims(proto, val), imageBytes = 4 * inputDims.slice(1).reduce((a, b) => a * b, 1);
    const metric = options.metric ?? (val.labels ? 'top1' : 'agreement');
    const preparation = await prepare(proto, val, inputDims, open);
    const judged = await loadTaskData(val, preparation, Math.min(mostJudged, Math.floor(memoryBytes / imageBytes)), open);
    if (judged.images.count < judged.total) notes.push(`Judged on ${judged.images.count} of ${judged.total} images of ${options.val}.`);
    const classes = await classesOf(proto, judged.images) ?? classCountOf(val);
    if (metric !== 'agreement') requireLabels(val, classes);
    const judge = await Judge.create(proto, judged.images, metric, { threads: options.threads });
    const doubts = doubtsAbout(options.val, { metric, accuracy: judge.original, images: judged.images.count, classes, ...(judged.classNames ? { classNames: judged.classNames } : {}) });
    let calibration = judged.images;
    if (options.calibration !== undefined && options.calibration !== options.val) {
      const other = await openDataset(options.calibration);
      try {
        calibration = (await loadTaskData(other, { ...preparation, inputDims: await taskInputDims(proto, other) }, Math.min(mostCalibration, Math.floor(memoryBytes / imageBytes)), open)).images;
      } finally { await other.close(); }
    } else notes.push('No calibration images were given: the repair used validation images (without their labels).');
    if (options.finetune > 0 && options.train !== undefined) await (await openDataset(options.train)).close(); // what is wrong there is told now, not after the search
    return {
      judge, calibration, preparation, dataset: options.val, classes, notes: [...doubts, ...notes], doubts,
      ...(judged.classNames ? { classNames: judged.classNames } : {}),
    };
  } finally {
    await val.close();
  }
}

/** Number of classes that the model's first output scores; undefined where it does not. */
async function classesOf(proto: Network['proto'], images: Samples): Promise<number | undefined> {
  const session = await Session.create(proto);
  try {
    const output = (await session.run(batchOf(images, 0, Math.min(images.count, fixedBatch(proto) ?? 1))))[session.outputNames[0]!]!;
    return holdsClasses(output) ? output.dims[1] : undefined;
  } finally { await session.release(); }
}
