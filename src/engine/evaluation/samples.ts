import { InputError } from '../errors.ts';
import { inType } from '../runtime/elementTypes.ts';
import type { Session, Tensor, TypedArray } from '../runtime/session.ts';

/** One input of a model for all samples. `dims` are those of one sample. */
export interface SampleInput { readonly name: string; readonly type: string; readonly dims: readonly number[]; readonly data: TypedArray }

/** Samples of a data set in memory, as a model takes them: one array an input. */
export interface Samples {
  readonly count: number;
  readonly inputs: readonly SampleInput[];
  /** Class of each sample; absent for unlabelled ones. */
  readonly labels?: Int32Array;
}

/** Feeds for `count` samples. */
export function batchOf({ inputs, count: all }: Samples, from: number, count: number): Record<string, Tensor> {
  return Object.fromEntries(inputs.map(({ name, type, dims, data }) => {
    const size = data.length / all;
    return [name, { type, dims: [count, ...dims], data: data.subarray(from * size, (from + count) * size) }];
  }));
}

/** Feeds for the samples of these numbers. */
export function gathered({ inputs, count: all }: Samples, samples: Int32Array): Record<string, Tensor> {
  return Object.fromEntries(inputs.map(({ name, type, dims, data }) => {
    const size = data.length / all, picked = new (data.constructor as new (length: number) => TypedArray)(samples.length * size);
    samples.forEach((sample, i) => { picked.set(data.subarray(sample * size, (sample + 1) * size) as never, i * size); });
    return [name, { type, dims: [samples.length, ...dims], data: picked }];
  }));
}

/** Samples that are fed at once to a model that takes any number. */
export const usualBatch = 64;

/** The numbers of the first samples. */
export const firstSamples = (count: number): Int32Array => Int32Array.from({ length: count }, (_, i) => i);

/** Samples in batches of one size; the last may be smaller. */
export const batchesOf = (samples: Int32Array, size: number): Int32Array[] => Array.from({ length: Math.ceil(samples.length / size) }, (_, i) => samples.subarray(i * size, (i + 1) * size));

/** Values of all inputs of a batch that a model fixes, at most: four gigabytes of float32. */
const mostElements = 2 ** 30;

/** The numbers of these samples, repeated in turn to the batch that a model fixes; as they are where it takes any. @throws {InputError} where that would not fit in memory */
function filled(all: Samples, samples: Int32Array, fixed: number | undefined): Int32Array {
  if (fixed === undefined || fixed === samples.length) return samples;
  if (fixed * elementsOf(all) > mostElements) throw new InputError(`The model takes batches of ${fixed} samples only, which do not fit in memory.`);
  return Int32Array.from({ length: fixed }, (_, i) => samples[i % samples.length]!);
}

/** Tensors by name, each changed. */
const mapTensors = (tensors: Readonly<Record<string, Tensor>>, change: (tensor: Tensor, name: string) => Tensor): Record<string, Tensor> => Object.fromEntries(Object.entries(tensors).map(([name, tensor]) => [name, change(tensor, name)]));

/**
 * A model's answers to the samples of these numbers. Where it fixes its batch, samples are repeated to fill that, and what the repeated ones give is left out.
 * Real numbers are fed in the type that the model takes, and come as float32.
 * @param samples no more than `fixed` @param outputs names of the outputs wanted; all by default
 * @returns outputs by name; those that hold one row a sample have `samples.length` rows
 */
export async function answersTo(session: Session, all: Samples, samples: Int32Array, fixed: number | undefined, outputs: readonly string[] = session.outputNames): Promise<Record<string, Tensor>> {
  const fed = filled(all, samples, fixed), feeds = mapTensors(gathered(all, fed), (tensor, name) => inType(tensor, session.inputTypes[name] ?? tensor.type) ?? tensor);
  const answers = mapTensors(await session.run(feeds, outputs), (tensor) => inType(tensor, 'float32') ?? tensor);
  if (fed === samples) return answers;
  return mapTensors(answers, ({ type, dims, data }) => (dims[0] === fed.length ? { type, dims: [samples.length, ...dims.slice(1)], data: data.subarray(0, samples.length * (data.length / fed.length)) } : { type, dims, data }));
}

/**
 * Samples as chunks of one size that are fed to a network one after the other: of the most, or of equal shares where these leave fewer samples out.
 * @param most samples of a chunk where the model takes any @param fixed the batch that it fixes: fewer samples are repeated to fill one chunk
 * @returns for each input its chunks
 */
export function chunked(samples: Samples, most: number, fixed?: number): Record<string, Tensor[]> {
  const { count } = samples, shares = Math.floor(count / Math.ceil(count / most)), leftOut = (each: number): number => count % each;
  const each = fixed ?? (count >= most && leftOut(most) <= leftOut(shares) ? most : shares), chunks = Math.floor(count / each);
  const batches = each > count ? [gathered(samples, filled(samples, firstSamples(count), each))] : Array.from({ length: chunks }, (_, i) => batchOf(samples, i * each, each));
  return Object.fromEntries(samples.inputs.map(({ name }) => [name, batches.map((batch) => batch[name]!)]));
}

/** Elements of one sample, all inputs together. */
export const elementsOf = ({ inputs }: Samples): number => inputs.reduce((sum, { dims }) => sum + dims.reduce((a, b) => a * b, 1), 0);

/** Shapes of the inputs with one sample. */
export const inputShapesOf = ({ inputs }: Samples): Record<string, readonly number[]> => Object.fromEntries(inputs.map(({ name, dims }) => [name, [1, ...dims]]));

/** @throws {InputError} for a data set without samples */
export function requireSamples(count: number, path: string): void {
  if (count === 0) throw new InputError(`${path} holds no samples.`);
}
