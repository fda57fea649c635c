import { CancelledError, InputError } from '../errors.ts';
import { formatCount, type ImageDataset } from './dataset.ts';
import { coveringSize, inputSizeOf, preprocessImage, type Preprocessing } from './preprocessing.ts';

export interface LoadOptions { readonly signal?: AbortSignal; /** Called with the fraction done. */ readonly progress?: (fraction: number) => void }

/** Photographs are decoded whole, up to 40 MB each: few at a time. */
const chunkImages = 8, chunksAtOnce = 2;

/**
 * Reads and prepares images, a few chunks at a time.
 * @param inputShape of the model; its first dimension is of no effect
 * @returns float32 [indices.length, C, H, W] (or [.., H, W, C] as `recipe.layout` says). Not over shared memory: onnxruntime refuses that.
 * @throws {InputError} when it does not fit in memory, or an image can't be read
 */
export async function loadImages(dataset: ImageDataset, recipe: Preprocessing, inputShape: readonly number[], indices: readonly number[], { signal, progress }: LoadOptions = {}): Promise<Float32Array<ArrayBuffer>> {
  const { channels, height, width } = inputSizeOf(inputShape, recipe.layout);
  const size = channels * height * width;
  let out: Float32Array<ArrayBuffer>;
  try {
    out = new Float32Array(indices.length * size);
  } catch (error) {
    throw new InputError(`${formatCount(indices.length)} images of ${channels} x ${height} x ${width} do not fit in memory (${((indices.length * size * 4) / 2 ** 30).toFixed(1)} GB). Use fewer images.`, { cause: error });
  }
  let next = 0, done = 0;
  await Promise.all(Array.from({ length: chunksAtOnce }, async () => {
    while (next < indices.length) {
      if (signal?.aborted) throw new CancelledError();
      const start = next;
      next += chunkImages;
      const images = await dataset.read(indices.slice(start, start + chunkImages), coveringSize(recipe, { height, width }));
      images.forEach((image, i) => { preprocessImage(image, recipe, inputShape, out, (start + i) * size); });
      done += images.length;
      progress?.(done / indices.length);
    }
  }));
  return out;
}
