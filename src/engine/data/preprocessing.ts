import { readFile, stat } from 'node:fs/promises';
import { z } from 'zod';
import { InputError, messageOf } from '../errors.ts';
import type { ImageSize, RawImage } from './dataset.ts';
import { centreOf, resizeImage } from './resize.ts';

const channelValues = z.array(z.number()).min(1).max(1024);
const preprocessingSchema = z.strictObject({
  name: z.string().optional().describe('For people; of no effect.'),
  resize: z.enum(['stretch', 'shorter-side']).default('stretch').describe("How an image of another size is brought to the input's: stretched to it, or its shorter side resized (see cropRatio) and the centre cropped out."),
  cropRatio: z.number().gt(0).max(1).default(0.875).describe("With 'shorter-side': input size / resized shorter side. 0.875 is 224 of 256."),
  channelOrder: z.enum(['rgb', 'bgr', 'gray']).default('rgb'),
  scale: z.number().default(1 / 255).describe('Stored values are multiplied by this first.'),
  mean: channelValues.default([0]).describe('Subtracted after scaling; one number, or one a channel in channelOrder.'),
  std: channelValues.refine((values) => values.every((value) => value !== 0), 'must not be 0').default([1]).describe('Divided by last; one number, or one a channel in channelOrder.'),
  layout: z.enum(['nchw', 'nhwc']).optional().describe("Order of the model's input dimensions. Default: as its input has them."),
});
export type Layout = 'nchw' | 'nhwc';

/** How a stored image becomes a model's input: resize and crop (images of the right size are left alone), then (pixel * scale - mean) / std a channel. */
export type Preprocessing = z.output<typeof preprocessingSchema> & { layout: Layout };

/** @param value a recipe as JSON; fields left out take their defaults @param layout where the recipe tells none @throws {InputError} names the field */
export function checkPreprocessing(value: unknown, source = 'Preprocessing', layout: Layout = 'nchw'): Preprocessing {
  const parsed = preprocessingSchema.safeParse(value);
  if (parsed.success) return { ...parsed.data, layout: parsed.data.layout ?? layout };
  const { path, message } = parsed.error.issues[0]!;
  throw new InputError(`${source}${path.length > 0 ? `, "${path.join('.')}"` : ''}: ${message}.`);
}

/** Reads a recipe given as JSON or as the path of a JSON file. @param layout of the model's input, where the recipe tells none @throws {InputError} */
export async function parsePreprocessing(jsonOrFile: string, layout?: Layout): Promise<Preprocessing> {
  const inline = jsonOrFile.trim().startsWith('{');
  let text = jsonOrFile;
  if (!inline) {
    try {
      if ((await stat(jsonOrFile)).size > 1_000_000) throw new InputError(`${jsonOrFile} is too large for a preprocessing file.`);
      text = await readFile(jsonOrFile, 'utf8');
    } catch (error) {
      throw error instanceof InputError ? error : new InputError(`Can't read the preprocessing file ${jsonOrFile}: ${messageOf(error)}.`, { cause: error });
    }
  }
  return preprocessingOf(text, inline ? 'Preprocessing' : jsonOrFile, layout);
}

/** @param text a recipe as JSON @throws {InputError} names the source and the field */
export function preprocessingOf(text: string, source: string, layout?: Layout): Preprocessing {
  let value: unknown;
  try { value = JSON.parse(text); } catch (error) { throw new InputError(`${source} is not valid JSON: ${messageOf(error)}.`, { cause: error }); }
  return checkPreprocessing(value, source, layout);
}

/** Channels, height and width of a model's image input. @param inputShape [N, C, H, W] or [N, H, W, C] @throws {InputError} for other ranks */
export function inputSizeOf(inputShape: readonly number[], layout: Layout): { channels: number; height: number; width: number } {
  if (inputShape.length !== 4) throw new InputError(`The model's input has the shape [${inputShape.join(', ')}], but images need four dimensions. Give ready-made tensors as an .npz with the input's name.`);
  const [, a, b, c] = inputShape as [number, number, number, number];
  return layout === 'nchw' ? { channels: a, height: b, width: c } : { channels: c, height: a, width: b };
}

/** The size that images must cover to be brought to the input's by a recipe. */
export function coveringSize({ cropRatio }: Pick<Preprocessing, 'cropRatio'>, { height, width }: ImageSize): ImageSize {
  return { height: Math.ceil(height / cropRatio), width: Math.ceil(width / cropRatio) };
}

const isChannels = (dim: number): boolean => dim === 1 || dim === 3 || dim === 4;

/** Which dimension of an image input holds the channels: the one of 1, 3 or 4, or the smaller one. */
export function layoutOf(inputShape: readonly number[]): Layout {
  const [, a = 0, , c = 0] = inputShape;
  return (isChannels(a) === isChannels(c) ? a <= c : isChannels(a)) ? 'nchw' : 'nhwc';
}

/** The layout of a recipe that tells none: channels first, unless the input's shape clearly has them last. */
export const layoutOfRecipe = (inputShape: readonly number[]): Layout => (isChannels(inputShape[1] ?? 0) ? 'nchw' : layoutOf(inputShape));

/** ", laid out as nchw, while an input of [1, 32, 32, 3] looks like nhwc", where a recipe tells another layout than the input's shape. */
export function otherLayout(inputShape: readonly number[], layout: Layout): string {
  const own = layoutOfRecipe(inputShape);
  return own === layout ? '' : `, laid out as ${layout}, while an input of [${inputShape.join(', ')}] looks like ${own}`;
}

/** For each channel of the input, the channel of the stored image it comes from; 'luma' where colour becomes gray. */
function sourceChannels(image: RawImage, channels: number, { channelOrder: order, layout }: Preprocessing, inputShape: readonly number[]): readonly number[] | 'luma' {
  if (image.channels === channels) {
    if (channels === 3 && order === 'bgr') return [2, 1, 0];
    return channels === 3 && order === 'gray' ? 'luma' : Array.from({ length: channels }, (_, i) => i);
  }
  if (image.channels === 1) return new Array<number>(channels).fill(0);
  if (image.channels >= 3 && channels === 1) return 'luma';
  if (image.channels === 4 && channels === 3) return order === 'bgr' ? [2, 1, 0] : [0, 1, 2];
  throw new InputError(`The images have ${image.channels} channels, but the model's input has ${channels}${otherLayout(inputShape, layout)}.`);
}

const lumaWeights = [0.299, 0.587, 0.114]; // ITU-R BT.601, as in PIL and OpenCV

/**
 * Turns one image into the model's input.
 * @param out where its channels * height * width values go, from `at`
 * @param inputShape of the model, [N, C, H, W] or [N, H, W, C] as `recipe.layout` says
 * @throws {InputError} for a wrong number of channels
 */
export function preprocessImage(image: RawImage, recipe: Preprocessing, inputShape: readonly number[], out: Float32Array, at: number): void {
  const { channels, height, width } = inputSizeOf(inputShape, recipe.layout);
  const from = sourceChannels(image, channels, recipe, inputShape);
  for (const field of ['mean', 'std'] as const) {
    if (recipe[field].length !== 1 && recipe[field].length !== channels) throw new InputError(`Preprocessing has ${recipe[field].length} values of "${field}", but the model's input has ${channels} channels.`);
  }
  const sized = fitImage(image, recipe, height, width);
  const pixels = height * width;
  const [pixelStride, planeStride] = sized.layout === 'chw' ? [1, pixels] : [sized.channels, 1];
  const [outPixel, outPlane] = recipe.layout === 'nchw' ? [1, pixels] : [channels, 1];
  for (let channel = 0; channel < channels; channel++) {
    const mean = recipe.mean[recipe.mean.length === 1 ? 0 : channel]!, std = recipe.std[recipe.std.length === 1 ? 0 : channel]!;
    const { scale } = recipe;
    const start = at + channel * outPlane;
    if (from === 'luma') {
      for (let i = 0; i < pixels; i++) {
        let gray = 0;
        for (let c = 0; c < 3; c++) gray += lumaWeights[c]! * sized.data[i * pixelStride + c * planeStride]!;
        out[start + i * outPixel] = (gray * scale - mean) / std;
      }
    } else {
      const source = from[channel]! * planeStride;
      for (let i = 0; i < pixels; i++) out[start + i * outPixel] = (sized.data[source + i * pixelStride]! * scale - mean) / std;
    }
  }
}

/** The image at the input's size, brought there as the recipe says; the very image where it has that size. */
export function fitImage(image: RawImage, { resize, cropRatio }: Pick<Preprocessing, 'resize' | 'cropRatio'>, height: number, width: number): RawImage {
  if (image.height === height && image.width === width) return image;
  if (resize === 'stretch') return resizeImage(image, height, width);
  // the smallest size with the image's proportions that covers input / cropRatio
  const factor = Math.max(Math.round(height / cropRatio) / image.height, Math.round(width / cropRatio) / image.width);
  const covering = { height: Math.max(height, Math.round(image.height * factor)), width: Math.max(width, Math.round(image.width * factor)) };
  return resizeImage(image, covering.height, covering.width, centreOf(covering, { height, width }));
}

/** @returns float32 of the model's input shape, with one sample an image @see preprocessImage */
export function applyPreprocessing(images: readonly RawImage[], recipe: Preprocessing, inputShape: readonly number[]): Float32Array {
  const { channels, height, width } = inputSizeOf(inputShape, recipe.layout);
  const size = channels * height * width;
  const out = new Float32Array(images.length * size);
  images.forEach((image, i) => { preprocessImage(image, recipe, inputShape, out, i * size); });
  return out;
}
