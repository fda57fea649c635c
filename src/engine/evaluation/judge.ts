import type { GraphProto, ModelProto } from 'onnx-buf';
import { InputError } from '../errors.ts';
import { GraphView } from '../onnx/graphView.ts';
import type { Metric } from '../protocol.ts';
import { Session, type SessionOptions, type Tensor } from '../runtime/session.ts';
import { declaredDims } from '../runtime/shapes.ts';
import { type Tally, type Truth, addTally, answersOf, noTally, tally } from './answers.ts';
import { type Samples, batchOf, elementsOf } from './samples.ts';

type Model = ModelProto & { graph: GraphProto };

/** Samples that are run at once, and float32 values of inputs or outputs that this may take. */
const mostBatch = 200, batchElements = 3e7;
/** Bytes that the original's own answers may take where they are values. */
const truthBytes = 2e9;

/** The right answers of one output for all samples. */
interface OutputTruth { readonly name: string; readonly truth: Truth; /** Answers or values a sample. */ readonly each: number }

const lengthOf = (truth: Truth): number => ('classes' in truth ? truth.classes : truth.values).length;
const part = ({ truth, each }: OutputTruth, from: number, count: number): Truth =>
  ('classes' in truth ? { classes: truth.classes.subarray(from * each, (from + count) * each) } : { values: truth.values.subarray(from * each, (from + count) * each) });

/** The batch that a model fixes by the declared shape of its inputs; undefined where it takes any. */
export function fixedBatch({ graph }: Model): number | undefined {
  const { inputs } = new GraphView(graph);
  return graph.input.filter(({ name }) => inputs.includes(name)).map((input) => declaredDims(input)[0]).find((batch) => batch !== undefined);
}

/**
 * Judges models: top-1 and top-5 of the first output against labels, or agreement of all outputs with the original model's (answers.ts says how).
 */
export class Judge {
  readonly metric: Metric;
  readonly images: Samples;
  /** The original model's own value of the metric on all samples; 1 for agreement. */
  readonly original: number;
  private readonly truths: readonly OutputTruth[];
  private readonly batch: number;
  private readonly options: SessionOptions;

  private constructor(metric: Metric, images: Samples, truths: readonly OutputTruth[], original: number, batch: number, options: SessionOptions) {
    this.metric = metric;
    this.images = images;
    this.truths = truths;
    this.original = original;
    this.batch = batch;
    this.options = options;
  }

  /** @throws {InputError} when the metric needs labels and there are none, or the model's outputs can't be judged */
  static async create(model: Model, images: Samples, metric: Metric, options: SessionOptions = {}): Promise<Judge> {
    if (metric !== 'agreement' && !images.labels) throw new InputError(`Metric ${metric} needs labelled images; use --metric agreement, or give images in class folders.`);
    const session = await Session.create(model, options);
    try {
      const fixed = fixedBatch(model), shown = await session.run(batchOf(images, 0, Math.min(images.count, fixed ?? 1))), samples = Math.min(images.count, fixed ?? 1);
      const largest = Math.max(elementsOf(images), ...Object.values(shown).map(({ data }) => data.length / samples));
      const batch = fixed ?? Math.max(1, Math.min(mostBatch, Math.floor(batchElements / largest)));
      if (metric !== 'agreement') {
        const judge = new Judge(metric, images, [{ name: session.outputNames[0]!, truth: { classes: images.labels! }, each: 1 }], 0, batch, options);
        return new Judge(metric, images, judge.truths, await judge.accuracy(model), batch, options);
      }
      const comparable = session.outputNames.filter((name) => shown[name]!.data instanceof Float32Array && shown[name]!.dims[0] === samples);
      if (comparable.length === 0) throw new InputError(`No output of the model holds one float32 answer a sample (${session.outputNames.map((name) => `"${name}": ${shown[name]!.type} [${shown[name]!.dims.join(', ')}]`).join(', ')}), so that agreement can't be measured.`);
      return new Judge(metric, images, await ownAnswers(session, comparable, images, batch), 1, batch, options);
    } finally {
      await session.release();
    }
  }

  /** The model's accuracy as a fraction, on the first `count` samples. */
  async accuracy(model: Model, count = this.images.count, signal?: AbortSignal): Promise<number> {
    return (await this.assess(model, count, signal)).accuracy;
  }

  /**
   * Accuracy, and the mean probability that the model gives to the right answers: the same thing measured more finely, so that candidates can be told
   * apart on fewer images.
   * @param count only the first samples; all by default
   */
  async assess(model: Model, count = this.images.count, signal?: AbortSignal): Promise<Assessment> {
    const session = await Session.create(model, this.options);
    try {
      const tallies: Tally[] = this.truths.map(() => noTally), names = this.truths.map(({ name }) => name);
      for (const { from, size, feeds } of batches(this.images, count, this.batch)) {
        signal?.throwIfAborted();
        const outputs = await session.run(feeds, names);
        this.truths.forEach((truth, i) => { tallies[i] = addTally(tallies[i]!, tally(outputs[truth.name]!, part(truth, from, size), this.metric, truth.name)); });
      }
      const mean = (value: (each: Tally) => number): number => tallies.reduce((sum, each) => sum + value(each) / each.answers, 0) / tallies.length;
      return { accuracy: mean(({ right }) => right), probability: mean(({ certainty }) => certainty) };
    } finally {
      await session.release();
    }
  }
}

export interface Assessment { readonly accuracy: number; /** Mean softmax probability of the right answers. */ readonly probability: number }

/** Feeds for samples, a batch at a time; the last batch is smaller. */
function* batches(images: Samples, count: number, batch: number): Generator<{ from: number; size: number; feeds: Record<string, Tensor> }> {
  for (let from = 0; from < count; from += batch) {
    const size = Math.min(batch, count - from);
    yield { from, size, feeds: batchOf(images, from, size) };
  }
}

async function ownAnswers(session: Session, names: readonly string[], images: Samples, batch: number): Promise<OutputTruth[]> {
  const parts = names.map((): Truth[] => []);
  let bytes = 0;
  for (const { feeds } of batches(images, images.count, batch)) {
    const outputs = await session.run(feeds, names);
    names.forEach((name, i) => {
      const truth = answersOf(outputs[name]!, name);
      bytes += 4 * lengthOf(truth);
      if (bytes > truthBytes) throw new InputError(`The model's answers on ${images.count} samples take more than ${truthBytes / 1e9} GB. Give fewer samples.`);
      parts[i]!.push(truth);
    });
  }
  return names.map((name, i) => {
    const all = parts[i]!, length = all.reduce((sum, truth) => sum + lengthOf(truth), 0), each = length / images.count;
    if (!Number.isInteger(each)) throw new InputError(`The model's output "${name}" changes its shape with the contents of the samples; agreement can't be measured.`);
    const joined = 'classes' in all[0]! ? new Int32Array(length) : new Float32Array(length);
    all.reduce((at, truth) => { joined.set('classes' in truth ? truth.classes : truth.values, at); return at + lengthOf(truth); }, 0);
    return { name, each, truth: joined instanceof Int32Array ? { classes: joined } : { values: joined } };
  });
}
