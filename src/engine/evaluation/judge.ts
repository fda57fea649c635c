import type { GraphProto, ModelProto } from 'onnx-buf';
import { InputError } from '../errors.ts';
import type { Metric } from '../protocol.ts';
import { Session, type SessionOptions } from '../runtime/session.ts';
import { type Tally, type Truth, answersOf, classReader, holdsSingleScore, tally } from './answers.ts';
import { fixedBatch } from './fixedBatch.ts';
import { type Samples, answersTo, elementsOf, firstSamples } from './samples.ts';

type Model = ModelProto & { graph: GraphProto };

/** Samples that are run at once (more fill the processor's caches: slower by up to a sixth, and the session by 20 ms to let go), and float32 values of inputs or outputs that this may take. */
const mostBatch = 32, batchElements = 3e7;
/** Bytes that the original's own answers may take where they are values. */
const truthBytes = 2e9;

/** The right answers of one output for all samples. */
interface OutputTruth {
  readonly name: string;
  readonly truth: Truth;
  /** Answers or values a sample. */
  readonly each: number;
  /** How labels read the output; as it is where left out. */
  readonly read?: ReturnType<typeof classReader>;
  /** Whether it holds a single score, which tells two classes apart. */
  readonly binary?: boolean;
}

/** An output that is judged. */
export interface JudgedOutput {
  readonly name: string;
  /** Whether it scores classes, one answer a sample. */
  readonly classes: boolean;
  /** Whether it does so by a single score, of class 1. */
  readonly binary: boolean;
}

const lengthOf = (truth: Truth): number => ('classes' in truth ? truth.classes : truth.values).length;
/** The truth of the samples of these numbers. */
function part({ truth, each }: OutputTruth, samples: Int32Array): Truth {
  const pick = <A extends Int32Array | Float32Array>(all: A, picked: A): A => { samples.forEach((sample, i) => { picked.set(all.subarray(sample * each, (sample + 1) * each), i * each); }); return picked; };
  return 'classes' in truth ? { classes: pick(truth.classes, new Int32Array(samples.length * each)) } : { values: pick(truth.values, new Float32Array(samples.length * each)) };
}

/**
 * Judges models: top-1 and top-5 of the first output against labels, or agreement of all outputs with the original model's (answers.ts says how).
 */
export class Judge {
  readonly metric: Metric;
  readonly images: Samples;
  /** The original model's own answers to all samples. */
  readonly reference: Outcomes;
  private readonly truths: readonly OutputTruth[];
  private readonly batch: number;
  /** The batch that the model fixes; undefined where it takes any. */
  private readonly fixed: number | undefined;
  private readonly options: SessionOptions;

  private constructor(metric: Metric, images: Samples, truths: readonly OutputTruth[], reference: Outcomes, { batch, fixed }: { readonly batch: number; readonly fixed: number | undefined }, options: SessionOptions) {
    this.metric = metric;
    this.images = images;
    this.truths = truths;
    this.reference = reference;
    this.batch = batch;
    this.fixed = fixed;
    this.options = options;
  }

  /** @throws {InputError} when the metric needs labels and there are none, or the model's outputs can't be judged */
  static async create(model: Model, images: Samples, metric: Metric, options: SessionOptions = {}): Promise<Judge> {
    if (metric !== 'agreement' && !images.labels) throw new InputError(`Metric ${metric} needs labelled images; use --metric agreement, or give images in class folders.`);
    const session = await Session.create(model, options);
    try {
      // two samples where the model takes any number: of one, rows cannot be told from what is the same for all
      const fixed = fixedBatch(model), samples = Math.min(images.count, fixed ?? 2), shown = await answersTo(session, images, firstSamples(samples), fixed);
      const largest = Math.max(elementsOf(images), ...Object.values(shown).map(({ data }) => data.length / samples));
      const batch = fixed ?? Math.max(1, Math.min(mostBatch, Math.floor(batchElements / largest))), batches = { batch, fixed };
      if (metric !== 'agreement') {
        const name = session.outputNames[0]!, truths = [{ name, truth: { classes: images.labels! }, each: 1, read: classReader(model), binary: holdsSingleScore(shown[name]!) }], answer = new Judge(metric, images, truths, noOutcomes(0), batches, options).answering(session);
        return new Judge(metric, images, truths, await answer(firstSamples(images.count)), batches, options);
      }
      const comparable = session.outputNames.filter((name) => shown[name]!.data instanceof Float32Array && shown[name]!.dims[0] === samples);
      if (comparable.length === 0) throw new InputError(`No output of the model holds one float32 answer a sample (${session.outputNames.map((name) => `"${name}": ${shown[name]!.type} [${shown[name]!.dims.join(', ')}]`).join(', ')}), so that agreement can't be measured.`);
      const { truths, reference } = await ownAnswers(session, comparable, images, batch, fixed);
      return new Judge(metric, images, truths, reference, batches, options);
    } finally {
      await session.release();
    }
  }

  /** The outputs that are judged. */
  get outputs(): readonly JudgedOutput[] { return this.truths.map(({ name, truth, each, binary = false }) => ({ name, classes: 'classes' in truth && each === 1, binary })); }

  /** The original model's own value of the metric on all samples; 1 for agreement. */
  get original(): number { return mean(this.reference.right); }

  /** The model's accuracy as a fraction, on the first `count` samples. */
  async accuracy(model: Model, count = this.images.count, signal?: AbortSignal): Promise<number> {
    return (await this.assess(model, count, signal)).accuracy;
  }

  /** Accuracy, and the mean probability of the right answers. @param count only the first samples; all by default */
  async assess(model: Model, count = this.images.count, signal?: AbortSignal): Promise<Assessment> {
    return assessmentOf(await this.outcomes(model, count, signal));
  }

  /** The model's outcomes, sample by sample. @param count only the first samples; all by default */
  async outcomes(model: Model, count = this.images.count, signal?: AbortSignal): Promise<Outcomes> {
    const trial = await this.trial(model);
    try {
      return await trial.look(firstSamples(count), signal);
    } finally {
      await trial.release();
    }
  }

  /** Opens a model to look at its answers bit by bit. */
  async trial(model: Model): Promise<Trial> {
    const session = await Session.create(model, this.options);
    return { look: this.answering(session), release: () => session.release() };
  }

  private answering(session: Session): Trial['look'] {
    const names = this.truths.map(({ name }) => name);
    return async (samples, signal) => {
      const outcomes = noOutcomes(samples.length);
      for (let from = 0; from < samples.length; from += this.batch) {
        signal?.throwIfAborted();
        const now = samples.subarray(from, from + this.batch), outputs = await answersTo(session, this.images, now, this.fixed, names);
        for (const truth of this.truths) {
          const { name, read = (output) => output } = truth;
          addTallies(outcomes, from, tally(read(outputs[name]!, name), part(truth, now), this.metric, name), this.truths.length);
        }
      }
      return outcomes;
    };
  }
}

/** A model that is being judged. */
export interface Trial {
  /** Its answers to the samples of these numbers. */
  look: (samples: Int32Array, signal?: AbortSignal) => Promise<Outcomes>;
  release(): Promise<void>;
}

/**
 * Sample by sample whether the answer is right (a share where a sample has many answers), and the probability that the model gives to the right answers:
 * the same thing measured more finely, so that candidates can be told apart on fewer samples.
 */
export interface Outcomes { readonly right: Float32Array; readonly probability: Float32Array }

const noOutcomes = (count: number): Outcomes => ({ right: new Float32Array(count), probability: new Float32Array(count) });

/** Adds one of `outputs` outputs' tallies of the samples from number `from` on. */
function addTallies(outcomes: Outcomes, from: number, tallies: readonly Tally[], outputs: number): void {
  tallies.forEach(({ right, certainty, answers }, i) => {
    outcomes.right[from + i]! += right / answers / outputs;
    outcomes.probability[from + i]! += certainty / answers / outputs;
  });
}

const mean = (values: Float32Array): number => values.reduce((a, b) => a + b, 0) / values.length;
export const assessmentOf = ({ right, probability }: Outcomes): Assessment => ({ accuracy: mean(right), probability: mean(probability) });

export interface Assessment { readonly accuracy: number; /** Mean softmax probability of the right answers. */ readonly probability: number }

/** Mean differences between two models on the same samples, and the standard error of the reward's. */
export interface Difference { readonly accuracy: number; readonly reward: number; readonly standardError: number }

/** How much better `mine` is than `others` on the same samples. */
export function difference(mine: Outcomes, others: Outcomes): Difference {
  const rewards = mine.right.map((right, i) => (right - others.right[i]! + mine.probability[i]! - others.probability[i]!) / 2), reward = mean(rewards);
  return { accuracy: mean(mine.right) - mean(others.right), reward, standardError: Math.sqrt(mean(rewards.map((value) => (value - reward) ** 2)) / rewards.length) };
}

/** What models are chosen by: half accuracy, half the mean probability of the right answers, which varies less from sample to sample. */
export const rewardOf = ({ accuracy, probability }: Assessment): number => (accuracy + probability) / 2;

/** The original's answers, as the truth for others and as its own outcomes. */
async function ownAnswers(session: Session, names: readonly string[], images: Samples, batch: number, fixed: number | undefined): Promise<{ truths: OutputTruth[]; reference: Outcomes }> {
  const parts = names.map((): Truth[] => []), reference = noOutcomes(images.count), all = firstSamples(images.count);
  let bytes = 0;
  for (let from = 0; from < images.count; from += batch) {
    const outputs = await answersTo(session, images, all.subarray(from, from + batch), fixed, names);
    names.forEach((name, i) => {
      const truth = answersOf(outputs[name]!, name);
      bytes += 4 * lengthOf(truth);
      if (bytes > truthBytes) throw new InputError(`The model's answers on ${images.count} samples take more than ${truthBytes / 1e9} GB. Give fewer samples.`);
      parts[i]!.push(truth);
      addTallies(reference, from, tally(outputs[name]!, truth, 'agreement', name), names.length);
    });
  }
  const truths = names.map((name, i): OutputTruth => {
    const all = parts[i]!, length = all.reduce((sum, truth) => sum + lengthOf(truth), 0), each = length / images.count;
    if (!Number.isInteger(each)) throw new InputError(`The model's output "${name}" changes its shape with the contents of the samples; agreement can't be measured.`);
    const joined = 'classes' in all[0]! ? new Int32Array(length) : new Float32Array(length);
    all.reduce((at, truth) => { joined.set('classes' in truth ? truth.classes : truth.values, at); return at + lengthOf(truth); }, 0);
    return { name, each, truth: joined instanceof Int32Array ? { classes: joined } : { values: joined } };
  });
  return { truths, reference };
}
