import type { ImageSize, RawImage } from './dataset.ts';

/** A part of an image, in pixels. */
export interface Window { readonly top: number; readonly left: number; readonly height: number; readonly width: number }

/** The middle of an image. */
export const centreOf = (image: ImageSize, { height, width }: ImageSize): Window => ({ top: Math.round((image.height - height) / 2), left: Math.round((image.width - width) / 2), height, width });

/** For `count` output positions along one axis, from `first` on: the first input position each reads, and the weights of that and the following ones. */
function triangleWeights(from: number, to: number, first: number, count: number): { start: number; weights: Float64Array }[] {
  const ratio = from / to, support = Math.max(1, ratio); // a wider triangle when shrinking: antialiasing, as in PIL
  return Array.from({ length: count }, (_, i) => {
    const centre = (first + i + 0.5) * ratio;
    const start = Math.max(0, Math.floor(centre - support + 0.5)), end = Math.min(from, Math.floor(centre + support + 0.5));
    const weights = Float64Array.from({ length: end - start }, (_value, k) => Math.max(0, 1 - Math.abs((start + k + 0.5 - centre) / support)));
    const sum = weights.reduce((a, b) => a + b, 0);
    return { start, weights: weights.map((weight) => weight / sum) };
  });
}

/**
 * Bilinear interpolation with antialiasing, like PIL.Image.resize(BILINEAR), or a part of what it gives. The work and the memory are those of that part and of what it reads, so that an image
 * of one row, which would be enlarged a hundredfold to cover an input, costs no more than others.
 * @param height and width of the whole image when resized @param window the part of it that is wanted; all by default
 * @returns an image of the same element type and layout, of the window's size; bytes are rounded
 */
export function resizeImage(image: RawImage, height: number, width: number, window: Window = { top: 0, left: 0, height, width }): RawImage {
  if (image.height === window.height && image.width === window.width && height === window.height && width === window.width) return image;
  const { channels, data, layout } = image, across = window.width, pixels = window.height * across;
  const rows = triangleWeights(image.height, height, window.top, window.height), columns = triangleWeights(image.width, width, window.left, across);
  const planar = layout === 'chw';
  const [pixel, plane] = planar ? [1, image.height * image.width] : [channels, 1];
  const [outPixel, outPlane] = planar ? [1, pixels] : [channels, 1];
  const out = data instanceof Uint8Array ? new Uint8ClampedArray(channels * pixels) : new Float32Array(channels * pixels);
  const narrow = new Float32Array(across), sums = new Float64Array(pixels), last = rows.at(-1)!;
  for (let channel = 0; channel < channels; channel++) {
    sums.fill(0);
    for (let y = rows[0]!.start, from = 0; y < last.start + last.weights.length; y++) { // each input row is resized once, and added to the output rows that read it
      const row = channel * plane + y * image.width * pixel;
      for (let x = 0; x < across; x++) {
        const { start, weights } = columns[x]!;
        let sum = 0;
        for (let k = 0; k < weights.length; k++) sum += weights[k]! * data[row + (start + k) * pixel]!;
        narrow[x] = sum;
      }
      while (rows[from]!.start + rows[from]!.weights.length <= y) from++;
      for (let to = from; to < window.height && rows[to]!.start <= y; to++) {
        const weight = rows[to]!.weights[y - rows[to]!.start]!;
        for (let x = 0; x < across; x++) sums[to * across + x]! += weight * narrow[x]!;
      }
    }
    for (let i = 0; i < pixels; i++) out[channel * outPlane + i * outPixel] = sums[i]!;
  }
  return { data: out instanceof Uint8ClampedArray ? new Uint8Array(out.buffer) : out, channels, height: window.height, width: across, layout };
}
