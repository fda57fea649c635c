import type { Random } from '../numerics/random.ts';

export interface Augmentation {
  /** Largest shift in pixels along both axes; what comes in at the border is zero, the mean of normalised images [4]. */
  readonly shift: number;
  /** Whether half of the images are mirrored left to right. */
  readonly flip: boolean;
}

/**
 * Shifts and mirrors every image of a batch at random (the crop-and-flip of He et al. 2016 on CIFAR-10).
 * @param images [batch, channels, height, width], not changed @returns a new batch
 */
export function augment(images: Float32Array, [batch, channels, height, width]: readonly [number, number, number, number], { shift, flip }: Augmentation, random: Random): Float32Array {
  const out = new Float32Array(images.length);
  for (let n = 0; n < batch; n++) {
    const down = random.integer(2 * shift + 1) - shift, right = random.integer(2 * shift + 1) - shift, mirrored = flip && random.uniform() < 0.5;
    const from = Math.max(0, -right), to = Math.min(width, width - right); // columns of the source that stay in view
    for (let c = 0; c < channels; c++) {
      for (let y = Math.max(0, down); y < Math.min(height, height + down); y++) {
        const row = ((n * channels + c) * height + y) * width, source = row - down * width;
        if (!mirrored) out.set(images.subarray(source + from, source + to), row + from + right);
        else for (let x = from; x < to; x++) out[row + width - 1 - x - right] = images[source + x]!;
      }
    }
  }
  return out;
}
