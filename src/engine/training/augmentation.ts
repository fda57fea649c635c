import type { Layout } from '../data/preprocessing.ts';
import type { Random } from '../numerics/random.ts';

export interface Augmentation {
  /** Largest shift along each axis as a share of its length; what comes in at the border is zero, the mean of normalised images. */
  readonly shift: number;
  /** Whether half of the images are mirrored left to right. */
  readonly flip: boolean;
  /** Whether images are then blended in pairs, in random proportions. */
  readonly blend?: boolean;
  /** Order of an image's dimensions: [channels, height, width], the default, or [height, width, channels]. */
  readonly layout?: Layout;
}

/**
 * Shifts and mirrors every image of a batch at random (the crop-and-flip of He et al. 2016 on CIFAR-10), and blends it with another one where asked for
 * (mixup, Zhang et al. 2018; for learning a teacher's function, Beyer et al. 2022, arXiv 2106.05237).
 * @param images [batch, channels, height, width] or [batch, height, width, channels], as the layout says; not changed
 * @returns a new batch, and how much of the next image is blended into each
 */
export function augment(images: Float32Array, [batch, ...image]: readonly [number, number, number, number], { shift, flip, blend = false, layout = 'nchw' }: Augmentation, random: Random): { images: Float32Array; shares: Float32Array } {
  const out = new Float32Array(images.length), [planes, height, width, pixel] = layout === 'nchw' ? [...image, 1] as const : [1, ...image] as const; // a plane is rows of pixels
  const [mostDown, mostRight] = [Math.round(shift * height), Math.round(shift * width)];
  for (let n = 0; n < batch; n++) {
    const down = random.integer(2 * mostDown + 1) - mostDown, right = random.integer(2 * mostRight + 1) - mostRight, mirrored = flip && random.uniform() < 0.5;
    const from = Math.max(0, -right), to = Math.min(width, width - right); // columns of the source that stay in view
    for (let plane = 0; plane < planes; plane++) {
      for (let y = Math.max(0, down); y < Math.min(height, height + down); y++) {
        const row = ((n * planes + plane) * height + y) * width * pixel, source = row - down * width * pixel;
        if (!mirrored) out.set(images.subarray(source + from * pixel, source + to * pixel), row + (from + right) * pixel);
        else for (let x = from; x < to; x++) for (let k = 0; k < pixel; k++) out[row + (width - 1 - x - right) * pixel + k] = images[source + x * pixel + k]!;
      }
    }
  }
  const shares = Float32Array.from({ length: batch }, () => (blend ? 0.5 * random.uniform() : 0));
  return { images: blend ? blended(out, shares) : out, shares };
}

/** Every image with its share of the next one in the batch. */
function blended(images: Float32Array, shares: Float32Array): Float32Array {
  const batch = shares.length, size = images.length / batch, out = new Float32Array(images.length);
  shares.forEach((share, n) => {
    const own = n * size, other = ((n + 1) % batch) * size;
    for (let i = 0; i < size; i++) out[own + i] = (1 - share) * images[own + i]! + share * images[other + i]!;
  });
  return out;
}
