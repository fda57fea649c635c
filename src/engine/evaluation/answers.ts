import type { GraphProto, ModelProto } from 'onnx-buf';
import { InputError } from '../errors.ts';
import { GraphView } from '../onnx/graphView.ts';
import type { Metric } from '../protocol.ts';
import { type Tensor, floats } from '../runtime/session.ts';

/*
 * What a model's outputs answer, and how right an answer is: the one place that knows. An output is either scores of classes, at one or many places of a sample
 * (classification [N, classes], segmentation [N, classes, H, W]), or values of any other kind (regression, embeddings, depth, boxes). Under labels a single score a sample tells two classes apart.
 */

type Model = ModelProto & { graph: GraphProto };

/** How many of a sample's answers were right, of how many. `certainty` says the same more finely: the summed probability of the right answers. */
export interface Tally { readonly right: number; readonly certainty: number; readonly answers: number }

/** The right answers for some samples: a class for every sample and place, or the values themselves. */
export type Truth = { readonly classes: Int32Array } | { readonly values: Float32Array };

/** Whether an output holds scores of classes: [N, classes], or [N, classes, H, W] that is no image of one or three channels, as one of a single place is not. */
export const holdsClasses = ({ dims: [, classes = 0, ...places] }: Pick<Tensor, 'dims'>): boolean => classes > 1 && (places.length === 0 || (places.length === 2 && (classes !== 3 || places.every((length) => length === 1))));

/** Whether an output holds one number a sample: [N], [N, 1], [N, 1, 1, 1]. */
export const holdsSingleScore = ({ data, dims }: Tensor): boolean => data instanceof Float32Array && dims.length > 0 && dims.slice(1).every((length) => length === 1);

/** Operators that pass single scores on, and those that make probabilities. */
const passing = new Set(['Identity', 'Cast', 'Reshape', 'Flatten', 'Squeeze', 'Unsqueeze', 'Transpose', 'Slice', 'Gather', 'Split']), probabilities = new Set(['Sigmoid', 'HardSigmoid', 'Softmax']);

/** Whether an output's numbers are made as probabilities; otherwise they are logits. */
function areProbabilities({ producers }: GraphView, output: string): boolean {
  let producer = producers.get(output);
  while (producer && passing.has(producer.opType)) producer = producers.get(producer.input[0]!);
  return producer !== undefined && probabilities.has(producer.opType);
}

/**
 * Reads a model's outputs as labels judge them. A single score a sample is that of class 1, and becomes the scores [N, 2] of classes 0 and 1: [1 - p, p] of a probability, [-z/2, z/2] of
 * a logit, whose softmax is the sigmoid of z and which no one takes for probabilities; class 1 is then the answer above 0.5, or above 0. Other outputs are read as they are.
 */
export function classReader({ graph }: Model): (output: Tensor, name: string) => Tensor {
  const view = new GraphView(graph), known = new Map<string, boolean>();
  return (output, name) => {
    if (!holdsSingleScore(output)) return output;
    const probable = known.get(name) ?? areProbabilities(view, name), scores = output.data as Float32Array;
    known.set(name, probable);
    return floats(Float32Array.from({ length: 2 * scores.length }, (_, i) => { const score = scores[i >> 1]!, own = i % 2 === 1; return probable ? (own ? score : 1 - score) : (own ? score : -score) / 2; }), [scores.length, 2]);
  };
}

interface Scores { readonly data: Float32Array; readonly classes: number; readonly positions: number; readonly samples: number }

/** @throws {InputError} for an output that does not hold scores of classes */
export function scoresOf({ data, dims, type }: Tensor, name: string): Scores {
  const [samples = 0, classes = 0, ...rest] = dims;
  if (dims.length < 2 || !(data instanceof Float32Array)) throw new InputError(`The model's output "${name}" of shape [${dims.join(', ')}] (${type}) does not hold scores of classes. Use --metric agreement.`);
  return { data, classes, samples, positions: samples === 0 ? 0 : rest.reduce((a, b) => a * b, 1) };
}

/** An output's own answers, as the truth that another model is to agree with. @throws {InputError} for an output that is not float32 */
export function answersOf(output: Tensor, name: string): Truth {
  if (!(output.data instanceof Float32Array)) throw new InputError(`The model's output "${name}" is of type ${output.type}; agreement is measured on float32 outputs.`);
  if (!holdsClasses(output)) return { values: output.data.slice() };
  const { data, classes, positions, samples } = scoresOf(output, name);
  return { classes: Int32Array.from({ length: samples * positions }, (_, i) => topClass(data, Math.floor(i / positions) * classes * positions + (i % positions), positions, classes)) };
}

/** Class of the largest score; the first of equal ones. A score that is no number is never the largest. */
export function topClass(data: Float32Array, base: number, stride: number, classes: number): number {
  let top = 0, most = -Infinity;
  for (let c = 0; c < classes; c++) { const value = data[base + c * stride]!; if (value > most) { most = value; top = c; } }
  return top;
}

/** The softmax probability of one class; scores that are probabilities already (in [0, 1], summing to 1) are taken as they are. 0 where a score is NaN or +infinity, as one NaN would make the mean of all samples NaN. */
export function probabilityOf(data: Float32Array, base: number, stride: number, classes: number, wanted: number): number {
  let top = -Infinity, plain = 0, least = Infinity;
  for (let c = 0; c < classes; c++) { const value = data[base + c * stride]!; plain += value; if (value > top) top = value; if (value < least) least = value; }
  const own = data[base + wanted * stride]!;
  if (least >= 0 && Math.abs(plain - 1) < 1e-3) return own;
  let exponentials = 0;
  for (let c = 0; c < classes; c++) exponentials += Math.exp(data[base + c * stride]! - top);
  const probability = Math.exp(own - top) / exponentials;
  return Number.isNaN(probability) ? 0 : probability;
}

/** Rank of one class among the scores at one place: 0 for the largest; equal scores rank by class number; a score that is no number is last. */
function rankOf(data: Float32Array, base: number, stride: number, classes: number, wanted: number): number {
  const own = data[base + wanted * stride]!;
  let rank = 0;
  for (let c = 0; c < classes; c++) {
    const value = data[base + c * stride]!;
    if (value > own || (value === own && c < wanted)) rank++;
  }
  return Number.isNaN(own) ? classes : rank;
}

/**
 * How right an output is, sample by sample. Classes: a right answer is the truth among the best (five for top5). Values: each sample counts 1 less the relative error
 * |y - truth| / |truth| (Euclidean), at least 0.
 * @throws {InputError} when the output has another shape than the truth
 */
export function tally(output: Tensor, truth: Truth, metric: Metric, name: string): Tally[] {
  if ('values' in truth) return tallyValues(output, truth.values, name);
  const { data, classes, positions, samples } = scoresOf(output, name), wanted = truth.classes;
  if (wanted.length !== samples * positions) throw new InputError(`The model's output "${name}" gives ${positions} answers a sample, but ${wanted.length / Math.max(1, samples)} are known.${metric === 'agreement' ? '' : ' Use --metric agreement.'}`);
  const enough = metric === 'top5' ? 5 : 1;
  return Array.from({ length: samples }, (_, sample) => {
    let right = 0, certainty = 0;
    for (let p = 0; p < positions; p++) {
      const base = sample * classes * positions + p, answer = wanted[sample * positions + p]!;
      right += Number(rankOf(data, base, positions, classes, answer) < enough);
      certainty += probabilityOf(data, base, positions, classes, answer);
    }
    return { right, certainty, answers: positions };
  });
}

function tallyValues({ data, dims, type }: Tensor, truth: Float32Array, name: string): Tally[] {
  const samples = dims[0] ?? 1, size = truth.length / samples;
  if (!(data instanceof Float32Array) || data.length !== truth.length) throw new InputError(`The two models have outputs "${name}" of different shapes or types ([${dims.join(', ')}], ${type}); they can't be compared.`);
  return Array.from({ length: samples }, (_, sample) => {
    let error = 0, norm = 0;
    for (let i = sample * size; i < (sample + 1) * size; i++) { error += (data[i]! - truth[i]!) ** 2; norm += truth[i]! ** 2; }
    const relative = Math.sqrt(error / Math.max(norm, 1e-30)), right = relative < 1 ? 1 - relative : 0; // NaN counts as wrong
    return { right, certainty: right, answers: 1 };
  });
}
