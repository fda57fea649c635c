import { InputError } from '../errors.ts';

export type ElementArray = Float32Array | Float64Array | Int8Array | Uint8Array | Int16Array | Uint16Array | Int32Array | Uint32Array | BigInt64Array | BigUint64Array;
/** Element types by onnxruntime's names; float16 elements are Uint16Array bit patterns, bool ones are bytes. */
export type ElementType = 'float32' | 'float64' | 'float16' | 'int8' | 'uint8' | 'int16' | 'uint16' | 'int32' | 'uint32' | 'int64' | 'uint64' | 'bool';

/** One image as it is stored, before any preprocessing: RGB or gray, channels first ('chw') or last ('hwc'). */
export interface RawImage {
  readonly data: Uint8Array | Float32Array;
  readonly channels: number;
  readonly height: number;
  readonly width: number;
  readonly layout: 'chw' | 'hwc';
}
export interface ImageSize { readonly height: number; readonly width: number }
/** Several samples of one model input; dims[0] is the number of samples. */
export interface RawTensor { readonly type: ElementType; readonly dims: readonly number[]; readonly data: ElementArray }

interface DatasetCommon {
  /** The path it was opened from. */
  readonly path: string;
  readonly count: number;
  /** Class of each sample, from 0. Absent where the source has none. */
  readonly labels?: Int32Array;
  readonly classNames?: readonly string[];
  /** The files that it is made of, where these are others than the path. */
  readonly files?: readonly string[];
  /** For people: "5,000 images of 3 x 32 x 32 with labels of 10 classes (val5k.npz)". */
  readonly description: string;
  /** Releases the files that are held open. */
  close(): Promise<void>;
}
/** Images that preprocessing turns into the model's single input. Nothing is held in memory that `read` did not ask for, except inflated archive members. */
export interface ImageDataset extends DatasetCommon {
  readonly kind: 'images';
  /** Of every image, where they are rows of one array; files may differ. */
  readonly size?: ImageSize;
  /**
   * @param covering what the images are wanted for: much larger ones may be given reduced, to no less than twice this size
   * @throws {InputError} names the image that can't be read
   */
  read(indices: readonly number[], covering?: ImageSize): Promise<readonly RawImage[]>;
  /** The images and the arrays beside them as ready-made tensors, for a model of several inputs; absent where there are no other arrays. Closed with the images. */
  tensors?(): Promise<TensorDataset>;
}
/** Ready-made tensors, one a model input, which are fed as they are. A single unnamed array has the name ''. */
export interface TensorDataset extends DatasetCommon {
  readonly kind: 'tensors';
  readonly inputs: readonly { readonly name: string; readonly type: ElementType; /** Without the first dimension. */ readonly dims: readonly number[] }[];
  read(indices: readonly number[]): Promise<Readonly<Record<string, RawTensor>>>;
}
export type Dataset = ImageDataset | TensorDataset;

/** `count` with its thousands separated, for messages. */
export const formatCount = (count: number): string => count.toLocaleString('en-US');

/** How many classes the labels and the class names speak of: the largest label + 1, or the number of names. */
export function classCountOf(dataset: Pick<Dataset, 'labels' | 'classNames'>): number {
  if (dataset.classNames) return dataset.classNames.length;
  return dataset.labels?.reduce((most, label) => Math.max(most, label + 1), 0) ?? 0;
}

/** The labels. @throws {InputError} where there are none, or where one is outside the model's classes */
export function requireLabels(dataset: Dataset, classes: number): Int32Array {
  const { labels, path } = dataset;
  if (!labels) throw new InputError(`${path} has no labels. Give a folder of class folders, an .npz with a "labels" array or a CSV of path,label, or use --metric agreement.`);
  const outside = labels.findIndex((label) => label < 0 || label >= classes);
  if (outside >= 0) throw new InputError(`${path}: label ${labels[outside]} of image ${outside} is outside the model's ${classes} classes (0 to ${classes - 1}).`);
  return labels;
}

/** @throws {InputError} for an index that is not in the data set */
export function checkIndices(indices: readonly number[], count: number): void {
  for (const index of indices) {
    if (!Number.isInteger(index) || index < 0 || index >= count) throw new InputError(`There is no sample ${index}: the data set has ${count}.`);
  }
}
