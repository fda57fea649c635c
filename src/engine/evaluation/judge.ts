import type { GraphProto, ModelProto } from 'onnx-buf';
import { InputError } from '../errors.ts';
import { Session, type SessionOptions, type Tensor, floats } from '../runtime/session.ts';

type Model = ModelProto & { graph: GraphProto };

/** Images on which candidates are judged, preprocessed, in memory. */
export interface JudgeImages {
  /** float32 [count, ...image] */
  readonly values: Float32Array;
  readonly imageDims: readonly number[];
  readonly count: number;
  /** Class of each image; absent for unlabelled images. */
  readonly labels?: Int32Array;
}

const batchSize = 200;

/** Largest entry along axis 1 of [batch, classes, ...positions], a class per image and position. */
function argmax(output: Tensor): Int32Array {
  const [batch = 1, classes = 1] = output.dims, data = output.data as Float32Array, positions = data.length / (batch * classes);
  const out = new Int32Array(batch * positions);
  for (let image = 0; image < batch; image++) {
    for (let p = 0; p < positions; p++) {
      let best = -Infinity, at = 0;
      for (let c = 0; c < classes; c++) {
        const value = data[(image * classes + c) * positions + p]!;
        if (value > best) { best = value; at = c; }
      }
      out[image * positions + p] = at;
    }
  }
  return out;
}

/** Whether the label is among the five largest entries. */
function inTopFive(output: Tensor, image: number, label: number): boolean {
  const classes = output.dims[1]!, data = output.data as Float32Array, own = data[image * classes + label]!;
  let above = 0;
  for (let c = 0; c < classes; c++) if (data[image * classes + c]! > own) above++;
  return above < 5;
}

/** Judges models by their first output: top-1, top-5, or agreement with the original model (its top-1 answers are the labels). */
export class Judge {
  readonly metric: 'top1' | 'top5' | 'agreement';
  readonly images: JudgeImages;
  /** The original model's own value of the metric on all images; 1 for agreement. */
  readonly original: number;
  private readonly input: string;
  private readonly truth: Int32Array;
  private readonly options: SessionOptions;

  private constructor(metric: 'top1' | 'top5' | 'agreement', images: JudgeImages, input: string, truth: Int32Array, original: number, options: SessionOptions) {
    this.metric = metric;
    this.images = images;
    this.input = input;
    this.truth = truth;
    this.original = original;
    this.options = options;
  }

  /** @throws {InputError} when the metric needs labels and there are none, or the model's output is not one of class scores */
  static async create(model: Model, images: JudgeImages, metric: 'top1' | 'top5' | 'agreement', options: SessionOptions = {}): Promise<Judge> {
    if (metric !== 'agreement' && !images.labels) throw new InputError(`Metric ${metric} needs labelled images; use --metric agreement, or give images in class folders.`);
    const input = model.graph.input.find(({ name }) => !model.graph.initializer.some((tensor) => tensor.name === name))!.name;
    const answers = await Judge.answers(model, images, input, options);
    if (metric === 'agreement') return new Judge(metric, images, input, answers, 1, options);
    const judge = new Judge(metric, images, input, images.labels!, 0, options);
    return new Judge(metric, images, input, images.labels!, await judge.accuracy(model), options);
  }

  private static async answers(model: Model, images: JudgeImages, input: string, options: SessionOptions): Promise<Int32Array> {
    const session = await Session.create(model, options);
    try {
      const parts: Int32Array[] = [];
      for (let from = 0; from < images.count; from += batchSize) {
        const output = (await session.run({ [input]: batchOf(images, from, Math.min(batchSize, images.count - from)) }, [session.outputNames[0]!]))[session.outputNames[0]!]!;
        if (output.dims.length < 2 || !(output.data instanceof Float32Array)) throw new InputError(`Output "${session.outputNames[0]}" of shape [${output.dims.join(', ')}] does not hold scores of classes.`);
        parts.push(argmax(output));
      }
      const all = new Int32Array(parts.reduce((sum, part) => sum + part.length, 0));
      parts.reduce((at, part) => { all.set(part, at); return at + part.length; }, 0);
      return all;
    } finally {
      await session.release();
    }
  }

  /** The model's accuracy as a fraction, on the first `count` images. */
  async accuracy(model: Model, count = this.images.count, signal?: AbortSignal): Promise<number> {
    return (await this.assess(model, count, signal)).accuracy;
  }

  /** Accuracy, and the mean probability of the right answers. @param count only the first images; all by default */
  async assess(model: Model, count = this.images.count, signal?: AbortSignal): Promise<Assessment> {
    const trial = await this.trial(model);
    try {
      return assessmentOf(await trial.look(0, count, signal));
    } finally {
      await trial.release();
    }
  }

  /** Opens a model to look at its answers bit by bit. */
  async trial(model: Model): Promise<Trial> {
    const session = await Session.create(model, this.options), output = session.outputNames[0]!, perImage = this.truth.length / this.images.count;
    return {
      look: async (from, to, signal) => {
        const outcomes: Outcomes = { right: new Float32Array(to - from), probability: new Float32Array(to - from) };
        for (let at = from; at < to; at += batchSize) {
          signal?.throwIfAborted();
          const size = Math.min(batchSize, to - at), truth = this.truth.subarray(at * perImage, (at + size) * perImage);
          const scores = (await session.run({ [this.input]: batchOf(this.images, at, size) }, [output]))[output]!;
          if (this.metric === 'top5') for (let i = 0; i < size; i++) outcomes.right[at - from + i] = Number(inTopFive(scores, i, truth[i]!));
          else argmax(scores).forEach((answer, i) => { outcomes.right[at - from + Math.floor(i / perImage)]! += Number(answer === truth[i]) / perImage; });
          for (let i = 0; i < size; i++) outcomes.probability[at - from + i] = truthProbability(scores, i, truth.subarray(i * perImage, (i + 1) * perImage));
        }
        return outcomes;
      },
      release: () => session.release(),
    };
  }
}

/** A model that is being judged. */
export interface Trial {
  /** Its answers to the images [from, to). */
  look(from: number, to: number, signal?: AbortSignal): Promise<Outcomes>;
  release(): Promise<void>;
}

/**
 * Image by image whether the answer is right (a share where an image has many answers), and the probability that the model gives to the right answers:
 * the same thing measured more finely, so that candidates can be told apart on fewer images.
 */
export interface Outcomes { readonly right: Float32Array; readonly probability: Float32Array }

const mean = (values: Float32Array): number => values.reduce((a, b) => a + b, 0) / values.length;
export const assessmentOf = ({ right, probability }: Outcomes): Assessment => ({ accuracy: mean(right), probability: mean(probability) });

export interface Assessment { readonly accuracy: number; /** Mean softmax probability of the right answers. */ readonly probability: number }

/** Mean probability of one image's right answers; scores that are probabilities already (in [0, 1], summing to 1) are taken as they are. */
function truthProbability(output: Tensor, image: number, truth: Int32Array): number {
  const [, classes = 1] = output.dims, data = output.data as Float32Array, positions = truth.length;
  let sum = 0;
  for (let p = 0; p < positions; p++) {
    const at = (c: number): number => data[(image * classes + c) * positions + p]!;
    let top = -Infinity, plain = 0, least = Infinity;
    for (let c = 0; c < classes; c++) { const value = at(c); plain += value; if (value > top) top = value; if (value < least) least = value; }
    const right = at(truth[p]!);
    if (least >= 0 && Math.abs(plain - 1) < 1e-3) { sum += right; continue; }
    let exponentials = 0;
    for (let c = 0; c < classes; c++) exponentials += Math.exp(at(c) - top);
    sum += Math.exp(right - top) / exponentials;
  }
  return sum / positions;
}

export function batchOf(images: JudgeImages, from: number, count: number): Tensor<Float32Array> {
  const size = images.values.length / images.count;
  return floats(images.values.subarray(from * size, (from + count) * size), [count, ...images.imageDims]);
}
