import type { GraphProto, ModelProto } from 'onnx-buf';
import { CancelledError, InputError } from '../errors.ts';
import { type Assessment, rewardOf } from '../evaluation/judge.ts';
import { decodeCheckpoint, encodeCheckpoint } from '../numerics/checkpoint.ts';
import { Random } from '../numerics/random.ts';
import { type Tensor, floats } from '../runtime/session.ts';
import { type Fed, anyBatch } from './anyBatch.ts';
import { type Augmentation, augment } from './augmentation.ts';
import type { Feature } from './features.ts';
import { type ClassOutput, type ClassificationLoss, classificationLoss, labelFeeds, logitsOf, matchingLoss, sumOfLosses } from './losses.ts';
import { withParameters } from './parameters.ts';
import { cosineSchedule } from './schedule.ts';
import { Teacher } from './teacher.ts';
import { DivergedError, type OptimizerOptions, Trainer } from './trainer.ts';
import { whitenLayers } from './whitening.ts';

type Model = ModelProto & { graph: GraphProto };

/** Samples by number, prepared as the model wants them. */
export interface TrainingSamples {
  readonly count: number;
  /** Shape of one sample by the name of the model's input, e.g. [channels, height, width]. */
  readonly dims: Readonly<Record<string, readonly number[]>>;
  /** @returns for each input a tensor [indices.length, ...dims], and the samples' classes where they are known */
  batch(indices: readonly number[]): Promise<{ inputs: Readonly<Record<string, Tensor>>; labels?: Int32Array }>;
}

export interface FinetuneOptions extends OptimizerOptions, ClassificationLoss {
  readonly epochs: number;
  readonly batchSize: number;
  readonly learningRate: number;
  /** Share of all steps in which the learning rate rises. */
  readonly warmUp: number;
  /** Random shifts and mirroring, where the model's one input takes pictures; undefined for none. */
  readonly augmentation: Augmentation | undefined;
  /** Ways in which augmentation shows each image, used in turn epoch by epoch, so that the teacher looks at each only once and what it said is remembered; 0 for a new one every epoch. */
  readonly views: number;
  /** Weight of the features' relative squared distance beside the loss on answers. */
  readonly featureWeight: number;
  /** Whether layers are trained in coordinates in which their inputs have no correlations. */
  readonly whiten: boolean;
  readonly seed: number;
  /** Epochs without a higher reward after which training stops; 0 for never. */
  readonly patience: number;
}

export const finetuneDefaults: FinetuneOptions = {
  epochs: 10, batchSize: 64, optimizer: 'adamw', learningRate: 5e-3, weightDecay: 1e-4, momentum: 0.9, warmUp: 0.05, relativeSteps: true, keepZeros: false,
  distillation: 0.7, temperature: 4, augmentation: { shift: 1 / 8, flip: true }, views: 0, featureWeight: 4, whiten: true, seed: 0, patience: 0, threads: 0,
};

/**
 * Ways to show each image for which the teacher takes at most half as long as training does, 0 (a new one every epoch) where that is all epochs.
 * @param teacherCost of the teacher's look at an image, in units of a training step's share of it
 * @param rememberable views whose answers memory has room for; where it has less, every epoch shows new ones, and nothing is remembered
 */
export function affordableViews(epochs: number, teacherCost: number, rememberable = Infinity): number {
  const views = Math.max(1, Math.floor(epochs / (2 * teacherCost)));
  return views < epochs && views <= rememberable ? views : 0;
}

export interface FinetuneProgress {
  /** Epochs done, in fractions; whole where one has just been scored. */
  readonly epoch: number;
  readonly epochs: number;
  /** Steps done of all steps. */
  readonly step: number;
  readonly steps: number;
  /** Means over the epoch so far; the accuracy of a classifier. */
  readonly loss: number;
  readonly trainAccuracy: number;
  readonly learningRate: number;
  readonly secondsLeft: number;
  /** What `evaluate` gave at the end of an epoch. */
  readonly assessment?: Assessment;
}

export interface EpochResult { readonly epoch: number; readonly loss: number; readonly trainAccuracy: number; readonly assessment: Assessment | undefined }
export interface FinetuneResult {
  /** The model with the highest reward, or with the last weights when nothing judges it: same inputs, outputs and opset as before. */
  readonly model: Model;
  /** Epochs trained when those weights were reached. */
  readonly bestEpoch: number;
  readonly history: readonly EpochResult[];
  /** The epoch in which the loss was no number any more, after which training went no further. */
  readonly diverged?: number;
}

export interface FinetuneTask {
  readonly model: Model;
  /** The network to imitate, usually the one before pruning; needed when `distillation` is above 0. */
  readonly teacher?: Model;
  /** What else of it is imitated. */
  readonly features?: readonly Feature[];
  /** Whether an output scores classes [batch, classes] [true]; otherwise what is learnt is `features`, the outputs among them. */
  readonly classes?: boolean;
  /** The output that does; the first, of several scores, where left out. */
  readonly output?: ClassOutput;
  readonly samples: TrainingSamples;
  readonly options?: Partial<FinetuneOptions>;
  /** Judges the model after each epoch on images that are not trained on; @see rewardOf */
  readonly evaluate?: (model: Model, epoch: number) => Promise<Assessment>;
  readonly onProgress?: (progress: FinetuneProgress) => void;
  /** Receives the state after each epoch, and when cancelled. */
  readonly onCheckpoint?: (bytes: Uint8Array) => Promise<void> | void;
  /** A state to go on from, of the same model, images and options: the result is then the same as without the interruption. */
  readonly checkpoint?: Uint8Array;
  readonly signal?: AbortSignal;
}

/** Where training stands: what a checkpoint holds beside the trainer's vectors. */
interface Position { epoch: number; step: number; lossSum: number; correctSum: number; bestReward: number | undefined; bestEpoch: number; history: EpochResult[] }

/**
 * Trains a classifier on images, by cross-entropy on labels and distillation from a teacher; any other network by its teacher's outputs and features. Deterministic for a seed
 * and a thread count.
 * @throws {InputError} when labels or the teacher are missing, or there are fewer images than a batch
 * @throws {DivergedError} when the loss is no number any more before a first epoch is done; later the best epoch so far is the result
 * @throws {UnsupportedModelError} names the node whose operator has no gradient rule
 * @throws {CancelledError} when `signal` is aborted, after handing out a checkpoint
 */
export async function finetune(task: FinetuneTask): Promise<FinetuneResult> {
  const options = { ...finetuneDefaults, ...task.options }, { model, teacher, samples, signal, classes = true } = task, { batchSize, epochs } = options;
  if (options.distillation > 0 && !teacher) throw new InputError('Distillation needs the original model as teacher.');
  if (!classes && options.distillation < 1) throw new InputError('The model scores no classes, so that labels tell it nothing; use distillation alone (distillation 1).');
  const features = options.distillation > 0 ? task.features ?? [] : [], stepsPerEpoch = Math.floor(samples.count / batchSize), steps = stepsPerEpoch * epochs;
  if (stepsPerEpoch === 0) throw new InputError(`There are only ${samples.count} samples to train on, fewer than one batch of ${batchSize}.`);
  const inputShapes = Object.fromEntries(Object.entries(samples.dims).map(([name, dims]) => [name, [batchSize, ...dims]])), picture = options.augmentation && pictureOf(samples);
  const losses = [...(classes ? [classificationLoss(logitsOf(model, task.output), options)] : []), ...(features.length > 0 ? [matchingLoss(features.map(({ value }) => value), options.featureWeight)] : [])];
  const fed: Fed = { dims: samples.dims, show: async (count) => (await samples.batch(Array.from({ length: count }, (_, i) => i % samples.count))).inputs };
  const open = await anyBatch(model, fed), imitated = teacher && options.distillation > 0 ? await anyBatch(teacher, fed) : undefined;
  const whitened = options.whiten ? await whitenLayers(open, await firstSamples(samples, batchSize), { threads: options.threads, seed: options.seed, ...(signal ? { signal } : {}) }) : undefined;
  const trainer = await Trainer.create(open, { ...options, inputShapes, loss: sumOfLosses(losses), ...(whitened ? { whitened } : {}) });
  const guide = imitated ? await Teacher.create(imitated, classes ? logitsOf(imitated, task.output) : undefined, features, { threads: options.threads, remember: options.views > 0 || (picture === undefined && features.length === 0) }) : undefined;
  let best = trainer.vector();
  let at: Position = { epoch: 0, step: 0, lossSum: 0, correctSum: 0, bestReward: undefined, bestEpoch: 0, history: [] };
  const checkpoint = async (): Promise<void> => {
    const { steps: done, arrays } = trainer.save();
    await task.onCheckpoint?.(encodeCheckpoint('fine-tuning', { at, done }, { ...arrays, best }));
  };
  try {
    if (task.checkpoint) {
      const { data, arrays } = decodeCheckpoint('fine-tuning', task.checkpoint), saved = data as { at: Position; done: number };
      trainer.load({ steps: saved.done, arrays });
      at = saved.at;
      best = arrays['best'] ?? best;
    }
    let progress: FinetuneProgress | undefined;
    const started = performance.now(), startedAt = at.epoch * stepsPerEpoch + at.step;
    while (at.epoch < epochs && !(options.patience > 0 && at.epoch - at.bestEpoch >= options.patience && at.bestReward !== undefined)) {
      const view = options.views > 0 ? at.epoch % options.views : at.epoch;
      const order = shuffled(samples.count, mixed(options.seed, view, -1)), visits = view === at.epoch ? undefined : shuffled(stepsPerEpoch, mixed(options.seed, at.epoch, -2));
      while (at.step < stepsPerEpoch) {
        if (signal?.aborted) { await checkpoint(); throw new CancelledError(); }
        const number = visits?.[at.step] ?? at.step, indices = order.slice(number * batchSize, (number + 1) * batchSize), done = at.epoch * stepsPerEpoch + at.step;
        const learningRate = options.learningRate * cosineSchedule(done, steps, Math.round(options.warmUp * steps));
        const { loss, correct } = await trainer.step(await feedsOf(indices, view, new Random(mixed(options.seed, view, number))), learningRate);
        at.step++;
        at.lossSum += loss!;
        at.correctSum += correct ?? 0;
        const secondsAStep = (performance.now() - started) / 1000 / (done + 1 - startedAt);
        progress = { epoch: at.epoch + at.step / stepsPerEpoch, epochs, step: done + 1, steps, loss: at.lossSum / at.step, trainAccuracy: at.correctSum / at.step, learningRate, secondsLeft: secondsAStep * (steps - done - 1) };
        if (at.step < stepsPerEpoch) task.onProgress?.(progress);
      }
      const assessment = await task.evaluate?.(withParameters(model, trainer.parameters, trainer.vector()), at.epoch + 1);
      if (progress) task.onProgress?.({ ...progress, ...(assessment ? { assessment } : {}) });
      at.history.push({ epoch: at.epoch + 1, loss: at.lossSum / stepsPerEpoch, trainAccuracy: at.correctSum / stepsPerEpoch, assessment });
      at = { ...at, epoch: at.epoch + 1, step: 0, lossSum: 0, correctSum: 0 };
      const reward = assessment && rewardOf(assessment);
      if (reward === undefined || at.bestReward === undefined || reward > at.bestReward) {
        best = trainer.vector();
        at.bestReward = reward;
        at.bestEpoch = at.epoch;
      }
      await checkpoint();
    }
    return result();
  } catch (error) {
    if (!(error instanceof DivergedError) || at.epoch === 0) throw error;
    return { ...result(), diverged: at.epoch + 1 };
  } finally {
    await trainer.release();
    await guide?.release();
  }

  function result(): FinetuneResult { return { model: withParameters(model, trainer.parameters, best), bestEpoch: at.bestEpoch, history: at.history }; }

  async function feedsOf(indices: readonly number[], view: number, random: Random): Promise<Record<string, Tensor>> {
    const { inputs, labels } = await samples.batch(indices), shown = { ...inputs };
    const augmented = picture === undefined ? undefined : augment(shown[picture]!.data as Float32Array, inputShapes[picture] as [number, number, number, number], options.augmentation!, random);
    if (augmented) shown[picture!] = floats(augmented.images, inputShapes[picture!]!);
    const feeds: Record<string, Tensor> = { ...shown };
    if (options.distillation < 1) {
      if (!labels) throw new InputError('The training images have no labels; use distillation alone (distillation 1).');
      Object.assign(feeds, labelFeeds(labels, augmented?.shares));
    }
    return guide ? { ...feeds, ...await guide.answers(shown, indices.map((index) => (picture === undefined ? 0 : view * samples.count) + index)) } : feeds;
  }
}

/** Fine-tunes without labels: by distillation from the teacher alone. */
export const distill = (task: FinetuneTask & { readonly teacher: Model }): Promise<FinetuneResult> => finetune({ ...task, options: { ...task.options, distillation: 1 } });

/** Samples by which layers' inputs are judged. */
const samplesShown = 1024;

/** The first of the samples, as chunks of a batch. */
async function firstSamples(samples: TrainingSamples, batchSize: number): Promise<Record<string, Tensor[]>> {
  const chunks: Readonly<Record<string, Tensor>>[] = [];
  for (let from = 0; from + batchSize <= samples.count && from < samplesShown; from += batchSize) chunks.push((await samples.batch(Array.from({ length: batchSize }, (_, i) => from + i))).inputs);
  return Object.fromEntries(Object.keys(chunks[0]!).map((name) => [name, chunks.map((inputs) => inputs[name]!)]));
}

/** The input that takes pictures [channels, height, width], where it is the only one: others would have to be changed alike. */
function pictureOf({ dims }: TrainingSamples): string | undefined {
  const [only, another] = Object.entries(dims);
  return only && !another && only[1].length === 3 ? only[0] : undefined;
}

/** 0 to count - 1 in an order that the seed determines. */
const shuffled = (count: number, seed: number): number[] => new Random(seed).shuffle(Array.from({ length: count }, (_, i) => i));

/** A seed for one purpose: an integer hash (the finaliser of MurmurHash3) of its parts. */
function mixed(...parts: readonly number[]): number {
  let hash = 0x9747b28c;
  for (const part of parts) {
    hash = Math.imul(hash ^ part, 0x85ebca6b);
    hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
    hash ^= hash >>> 16;
  }
  return hash | 0;
}
