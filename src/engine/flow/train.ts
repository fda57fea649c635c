import { openDataset } from '../data/openDataset.ts';
import { fairSubset } from '../data/subset.ts';
import { forwardSeconds, valuesASample } from '../evaluation/forwardCost.ts';
import { type Outcomes, assessmentOf, difference } from '../evaluation/judge.ts';
import { type Samples, gathered } from '../evaluation/samples.ts';
import { withPreprocessing } from '../evaluation/recordedPreprocessing.ts';
import { loadTaskData, prepareAlike } from '../evaluation/taskData.ts';
import { InputError, UnsupportedModelError } from '../errors.ts';
import { saveModel } from '../onnx/modelFile.ts';
import type { CompressOptions, Report, RunEvent } from '../protocol.ts';
import type { RunFolder } from '../run/runFolder.ts';
import type { KeptUnits } from '../pruning/types.ts';
import type { Augmentation } from '../training/augmentation.ts';
import { type Feature, lastFeatures, outputFeatures } from '../training/features.ts';
import type { ClassOutput } from '../training/losses.ts';
import { type FinetuneOptions, type TrainingSamples, affordableViews, distill, finetune, finetuneDefaults } from '../training/finetune.ts';
import type { StageClock } from '../run/stageClock.ts';
import { floorOf } from './goal.ts';
import type { Network } from './network.ts';
import type { Finalist } from './finish.ts';
import { type Task, scoresClasses } from './task.ts';

type Model = Network['proto'];
interface Context { emit(event: RunEvent): void; readonly signal: AbortSignal }

/** A model after a step of training, and how it does on all validation images. */
interface Trained { readonly proto: Model; readonly outcomes: Outcomes; readonly epochs: number; /** The epoch that ended in no number, where one did. */ readonly diverged?: number }

/**
 * What follows the search, where asked for. Refinement: the compressed network learns to give the original's answers, and its last features, on the calibration
 * images (distillation alone, Hinton et al. 2015; no labels are used; networks that score no classes learn all outputs). Fine-tuning, once, at the end (AMC, section 4): on the labels of the
 * training images and on the original's answers. Each keeps the best epoch by accuracy and probability on the validation data, unless it is worse than the trained model before, or
 * clearly worse than the repaired one, which is the best of several on these images and looks better on them than it is (docs/decisions/final-repair.md);
 * the model before training stays in the run folder as `reconstructed.onnx`.
 */
export async function trainSteps(network: Network, task: Task, winner: Finalist & { readonly macs: number; readonly kept: KeptUnits }, options: CompressOptions, run: RunFolder, clock: StageClock, context: Context): Promise<{ proto: Model; steps: Report['steps']; notes: string[] }> {
  const steps: { step: 'reconstruct' | 'refine' | 'finetune'; accuracy: number; epochs?: number }[] = [{ step: 'reconstruct', accuracy: winner.accuracy }], notes: string[] = [];
  const epochs = { refine: options.refine ?? refinementEpochs(network, task, trainedMacs(options, winner.macs), winner.accuracy), finetune: options.finetune };
  if (epochs.refine === 0 && epochs.finetune === 0) return { proto: winner.proto, steps, notes };
  await saveModel(withPreprocessing(winner.proto, task.preparation.recipe), run.file('reconstructed.onnx'));
  let now: Trained = { proto: winner.proto, outcomes: await task.judge.outcomes(winner.proto, undefined, context.signal), epochs: 0 };
  for (const step of ['refine', 'finetune'] as const) {
    if (epochs[step] === 0) continue;
    const name = step === 'refine' ? 'Refinement' : 'Fine-tuning';
    clock.start(step);
    try {
      const lesson = await lessonOf(step, network, task, winner, options, epochs[step], context.signal).catch(leftOut), next = await train(step, network, task, now, lesson, options, run, context);
      const { accuracy, reward, standardError } = difference(next.outcomes, now.outcomes), slack = now.proto === winner.proto ? clearly * standardError : 0;
      const kept = reward >= -slack && assessmentOf(next.outcomes).accuracy >= floorOf(options.target, task.judge.original);
      if (next.diverged !== undefined) notes.push(`${name} diverged in epoch ${next.diverged} (the loss is not a number): the epochs before it were judged as usual.`);
      if (!kept) notes.push(`No epoch of ${name.toLowerCase()} was as good as the model before it, which was kept.`);
      else if (accuracy < 0) notes.push(`${name} is ${(-100 * accuracy).toFixed(2)} points lower on the validation data, which is no clear loss: the model before it was chosen on these images, and looks better on them than it is. That model is reconstructed.onnx in the run folder.`);
      if (kept) now = next;
      steps.push({ step, accuracy: assessmentOf(now.outcomes).accuracy, epochs: kept ? next.epochs : 0 });
    } catch (error) {
      if (!(error instanceof UnsupportedModelError)) throw error;
      notes.push(`${name} was left out: ${error.message}`);
      context.emit({ type: 'warning', message: notes.at(-1)! });
    }
  }
  return { proto: now.proto, steps, notes };
}

/** What can't be learnt, or learnt from, is no reason to lose what the search has found. @throws {UnsupportedModelError} for wrong input */
function leftOut(error: unknown): never { throw error instanceof InputError ? new UnsupportedModelError(error.message, { cause: error }) : error; }

/** Sets up the training that was asked for, on the original and a few of its samples: what can't be done is told before the search. @throws {UnsupportedModelError} says why */
export async function requireTrainable({ proto, analysis }: Network, { judge, calibration }: Task, options: CompressOptions, signal: AbortSignal): Promise<void> {
  if (options.finetune === 0 && (options.refine ?? 0) === 0) return;
  const classes = scoresClasses(judge), [output] = judge.outputs, features = classes ? [] : outputFeatures(analysis, judge.outputs.map(({ name }) => name)), batchSize = batchFor(analysis, calibration.count);
  try {
    await distill({ model: proto, teacher: proto, classes, output: output!, features, samples: { ...trainingSamples(calibration, false), count: batchSize }, options: { epochs: 0, batchSize, threads: options.threads, augmentation: undefined }, signal });
  } catch (error) {
    if (!(error instanceof InputError || error instanceof UnsupportedModelError)) throw error;
    throw new UnsupportedModelError(`The training that was asked for can't be done: ${error.message} To compress without it, give --refine 0 and no --finetune.`, { cause: error });
  }
}

/** Standard errors by which a trained model is clearly worse than the one before. */
const clearly = 2;

/** Learning rate of refinement: half of fine-tuning's, since the repaired network is near the original already (docs/decisions/final-repair.md). */
const refinementRate = 2.5e-3;

/** What a step of training learns from. */
interface Lesson { readonly images: Samples; readonly classes: boolean; /** That scores them. */ readonly output: ClassOutput; readonly features: readonly Feature[]; readonly training: Partial<FinetuneOptions> & Pick<FinetuneOptions, 'batchSize'> }

async function lessonOf(step: 'refine' | 'finetune', network: Network, task: Task, { proto, kept, macs }: Pick<Finalist, 'proto'> & { readonly macs: number; readonly kept: KeptUnits }, options: CompressOptions, epochs: number, signal: AbortSignal): Promise<Lesson> {
  const refining = step === 'refine', { analysis } = network, images = refining ? task.calibration : await trainingData(network, task, options, signal);
  const { outputs } = task.judge, classes = scoresClasses(task.judge);
  const features = [...(classes ? [] : outputFeatures(analysis, outputs.map(({ name }) => name))), ...(refining ? lastFeatures(proto, analysis, kept) : [])];
  const batchSize = batchFor(analysis, images.count), rememberable = viewsThatFit(images, features), learningRate = (refining ? refinementRate : finetuneDefaults.learningRate) * Math.sqrt(batchSize / finetuneDefaults.batchSize);
  return { images, classes, output: outputs[0]!, features, training: { epochs, batchSize, learningRate, views: refining ? Math.min(mostViews, rememberable) : affordableViews(epochs, 1 / (stepCost * trainedMacs(options, macs)), rememberable), ...(!refining && classes && images.labels ? {} : { distillation: 1 }) } };
}

/** Float32 values of all layers that a training step may keep for its gradients: about three gigabytes with these. */
const trainingValues = 2.5e8;

/** Images a step: as many as usual, or the greatest power of two that memory has room for and that there are images for. */
const batchFor = (analysis: Network['analysis'], images: number): number => 2 ** Math.floor(Math.log2(Math.max(1, Math.min(finetuneDefaults.batchSize, images, Math.max(4, trainingValues / valuesASample(analysis))))));

/** Ways in which images are shown when there is no need to remember less: from then on they come again, and the original's answers to them are known. */
const mostViews = 3;
/** Bytes that remembered answers may take. */
const answerBytes = 6e8;

/** Ways of showing each image for which all answers can be remembered. */
const viewsThatFit = ({ count }: Samples, features: readonly Feature[]): number => Math.floor(answerBytes / (4 * count * features.reduce((sum, { elements }) => sum + elements, 1000)));

/** MACs that training pays for, as a fraction of the original's: single weights that are zero cost what others do. */
const trainedMacs = ({ method }: CompressOptions, macs: number): number => (method === 'weights' ? 1 : macs);

/** Forward passes that a training step costs. */
const stepCost = 5;

/**
 * Seconds on a laptop of training on the calibration images: a step, and the first times a forward pass of the original.
 * @param macs of the compressed network as a fraction of the original's
 */
export const trainingSeconds = ({ analysis }: Network, { calibration }: Task, macs: number, epochs: number): number =>
  calibration.count * forwardSeconds(analysis) * (stepCost * macs * epochs + Math.min(epochs, mostViews));

/**
 * Epochs of refinement that take about four minutes, at most twelve; where the validation data show that accuracy was lost, up to eight if these take no more than twelve minutes.
 * @param accuracy of the repaired network; where it is not known yet, a loss is assumed
 */
export function refinementEpochs(network: Network, task: Task, macs: number, accuracy = 0): number {
  if (task.calibration.count < finetuneDefaults.batchSize) return 0; // too few to learn from
  const { original, images: { count } } = task.judge, shows = original - accuracy > Math.sqrt((original * (1 - original)) / count); // more than a standard error
  const within = (limit: number, most: number): number => { let epochs = most; while (epochs > 0 && trainingSeconds(network, task, macs, epochs) > limit) epochs--; return epochs; };
  return Math.max(within(240, 12), shows ? within(720, 8) : 0);
}

async function trainingData(network: Network, task: Task, options: CompressOptions, signal: AbortSignal): Promise<Samples> {
  if (options.train === undefined) return task.calibration;
  const dataset = await openDataset(options.train);
  try {
    const preparation = await prepareAlike(network.proto, dataset, task.preparation), most = Math.floor(trainingBytes / (4 * preparation.inputDims.slice(1).reduce((a, b) => a * b, 1)));
    return await loadTaskData(dataset, preparation, fairSubset(dataset, most, options.seed), { seed: options.seed, signal });
  } finally { await dataset.close(); }
}

/** Bytes that the images of training may take. */
const trainingBytes = 1.5e9;

/** One step of training. @throws {UnsupportedModelError} when it can't be done, which is no reason to lose what the search has found */
async function train(kind: 'refine' | 'finetune', network: Network, task: Task, start: Trained, { images, classes, output, features, training }: Lesson, options: CompressOptions, run: RunFolder, { emit, signal }: Context): Promise<Trained> {
  const saved = await run.readCheckpoint(kind);
  let unwritten: unknown;
  const { model, bestEpoch, diverged } = await finetune({
    model: start.proto, teacher: network.proto, features, classes, output, samples: trainingSamples(images, training.distillation !== 1), signal,
    options: { ...training, seed: options.seed, keepZeros: options.method === 'weights', threads: options.threads, augmentation: augmentationFor(images, task.preparation) },
    evaluate: (proto) => task.judge.assess(proto, undefined, signal),
    onProgress: ({ epoch, epochs, loss, secondsLeft, assessment }) => { emit({ type: 'training', epoch, epochs, loss, secondsLeft, ...(assessment ? { accuracy: assessment.accuracy } : {}) }); },
    onCheckpoint: (bytes) => run.writeCheckpoint(kind, { header: { kind }, bytes }).catch((error: unknown) => { unwritten = error; throw error; }),
    ...(saved ? { checkpoint: saved.bytes } : {}),
  }).catch((error: unknown) => { if (error === unwritten) throw error; return leftOut(error); });
  return { proto: model, outcomes: await task.judge.outcomes(model, undefined, signal), epochs: bestEpoch, ...(diverged === undefined ? {} : { diverged }) };
}

/** Random changes of images, from 16 pixels on: of prepared ones, and of ready-made tensors that have the shape of an image. */
export function augmentationFor({ inputs: [input] }: Samples, { recipe, inputDims: [, ...dims] }: Task['preparation']): Augmentation | undefined {
  const layout = recipe?.layout ?? imageLayout(dims), [height, width] = layout === 'nhwc' ? dims : dims.slice(1);
  return input!.type === 'float32' && layout && Math.min(height ?? 0, width ?? 0) >= 16 ? { shift: 1 / 8, flip: true, blend: true, layout } : undefined;
}

/** The order of an image's dimensions, where these can be nothing but an image: up to four channels, which are fewer than its rows and columns. */
function imageLayout(dims: readonly number[]): 'nchw' | 'nhwc' | undefined {
  const [first = 0, middle = 0, last = 0] = dims;
  if (dims.length !== 3 || middle < 16 || (first < 16) === (last < 16)) return undefined;
  return first <= 4 ? 'nchw' : last <= 4 ? 'nhwc' : undefined;
}

/** Samples in memory to train on. @param labelled whether their labels are to be learnt */
export function trainingSamples(samples: Samples, labelled: boolean): TrainingSamples {
  const { labels } = samples;
  return {
    count: samples.count, dims: Object.fromEntries(samples.inputs.map(({ name, dims }) => [name, dims])),
    batch: (indices) => Promise.resolve({ inputs: gathered(samples, Int32Array.from(indices)), ...(labelled && labels ? { labels: Int32Array.from(indices, (index) => labels[index]!) } : {}) }),
  };
}
