import { InputError } from '../errors.ts';
import { basename } from 'node:path';
import { classCountOf, type Dataset, type ElementArray, formatCount, type ImageDataset, type RawImage, type TensorDataset } from './dataset.ts';
import type { RowArray } from './npyArray.ts';

/** Channels, height and width of stored images, and which comes first. */
export interface ImageShape { readonly channels: number; readonly height: number; readonly width: number; readonly layout: 'chw' | 'hwc' }

/** Reads an image shape off a row's dims: [H, W] is gray; the axis of 1, 3 or 4 channels tells [C, H, W] from [H, W, C], the smaller one where neither does. */
export function imageShapeOf(dims: readonly number[]): ImageShape | undefined {
  const [a = 0, b = 0, c = 0] = dims;
  if (dims.includes(0)) return undefined;
  if (dims.length === 2) return { channels: 1, height: a, width: b, layout: 'chw' };
  if (dims.length !== 3) return undefined;
  const isChannels = (dim: number): boolean => dim === 1 || dim === 3 || dim === 4;
  const first = isChannels(a) === isChannels(c) ? a <= c : isChannels(a);
  return first ? { channels: a, height: b, width: c, layout: 'chw' } : { channels: c, height: a, width: b, layout: 'hwc' };
}

/** IEEE 754 half precision. */
function halfToFloat(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1, exponent = (bits >> 10) & 31, fraction = bits & 1023;
  if (exponent === 31) return fraction ? NaN : sign * Infinity;
  return sign * (exponent === 0 ? fraction * 2 ** -24 : (1 + fraction / 1024) * 2 ** (exponent - 15));
}

const toPixels = (data: ElementArray, type: RowArray['type']): Uint8Array | Float32Array =>
  type === 'uint8' || type === 'float32' ? data as Uint8Array | Float32Array
    : type === 'float16' ? Float32Array.from(data as Uint16Array, halfToFloat)
      : Float32Array.from(data as ArrayLike<number | bigint>, Number);

/** Class labels of every sample: one integer a sample, [N] or [N, 1]. @throws {InputError} for other shapes, fractions, negative labels, a wrong count */
export async function readLabels(rows: RowArray, samples: number): Promise<Int32Array> {
  const perRow = rows.dims.reduce((a, b) => a * b, 1);
  if (perRow !== 1) throw new InputError(`${rows.name} has the shape (${[rows.count, ...rows.dims].join(', ')}); labels are one class number a sample, of the shape (${samples},).`);
  if (rows.count !== samples) throw new InputError(`${rows.name} has ${formatCount(rows.count)} labels for ${formatCount(samples)} images.`);
  const values = await rows.read(Array.from({ length: samples }, (_, i) => i));
  const labels = new Int32Array(samples);
  for (let i = 0; i < samples; i++) {
    const label = rows.type === 'float16' ? halfToFloat(Number(values[i])) : Number(values[i]);
    if (!Number.isInteger(label) || label < 0 || label > 0x7fffffff) throw new InputError(`${rows.name}: label ${label} of image ${i} is not a class number (0, 1, 2 ...).`);
    labels[i] = label;
  }
  return labels;
}

/** A data set over arrays whose rows are images. */
export function imageDataset(path: string, rows: RowArray, labels: Int32Array | undefined, close: () => Promise<void>): ImageDataset {
  const shape = imageShapeOf(rows.dims);
  if (!shape) throw new InputError(`${rows.name} has the shape (${[rows.count, ...rows.dims].join(', ')}); images are [N, C, H, W], [N, H, W, C] or [N, H, W].`);
  if (rows.count === 0) throw new InputError(`${rows.name} holds no images.`);
  const { channels, height, width, layout } = shape;
  const size = channels * height * width;
  return {
    kind: 'images', path, count: rows.count, size: { height, width }, ...(labels ? { labels } : {}), close,
    description: describe(path, rows.count, `images of ${height} x ${width}, ${channels} channel${channels === 1 ? '' : 's'}, ${rows.type}`, labels),
    read: async (indices) => {
      const pixels = toPixels(await rows.read(indices), rows.type);
      return indices.map((_, i): RawImage => ({ data: pixels.subarray(i * size, (i + 1) * size), channels, height, width, layout }));
    },
  };
}

/** A data set over ready-made tensors, one a model input. */
export function tensorDataset(path: string, inputs: readonly (RowArray & { input: string })[], labels: Int32Array | undefined, close: () => Promise<void>): TensorDataset {
  const count = inputs[0]!.count;
  const other = inputs.find((rows) => rows.count !== count);
  if (other) throw new InputError(`${path}: "${inputs[0]!.input}" has ${formatCount(count)} samples, but "${other.input}" has ${formatCount(other.count)}.`);
  if (count === 0) throw new InputError(`${path} holds no samples.`);
  return {
    kind: 'tensors', path, count, ...(labels ? { labels } : {}), close,
    inputs: inputs.map(({ input, type, dims }) => ({ name: input, type, dims })),
    description: describe(path, count, `samples of ${inputs.map(({ input, type, dims }) => `${input === '' ? '' : `"${input}" `}${type} [${dims.join(', ')}]`).join(', ')}`, labels),
    read: async (indices) => Object.fromEntries(await Promise.all(inputs.map(async (rows) => [rows.input, { type: rows.type, dims: [indices.length, ...rows.dims], data: await rows.read(indices) }] as const))),
  };
}

/** "5,000 images of ..., 10 classes (val5k.npz)" */
export function describe(path: string, count: number, what: string, labels: Int32Array | undefined, classNames?: readonly string[]): string {
  const classes = classCountOf({ ...(labels ? { labels } : {}), ...(classNames ? { classNames } : {}) } as Pick<Dataset, 'labels' | 'classNames'>);
  return `${formatCount(count)} ${what}, ${labels ? `${classes} class${classes === 1 ? '' : 'es'}` : 'no labels'} (${basename(path)})`;
}
