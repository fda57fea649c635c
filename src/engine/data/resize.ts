import type { RawImage } from './dataset.ts';

/** For each output position along one axis: the first input position it reads, and the weights of that and the following ones. */
function triangleWeights(from: number, to: number): { start: number; weights: Float64Array }[] {
  const ratio = from / to, support = Math.max(1, ratio); // a wider triangle when shrinking: antialiasing, as in PIL
  return Array.from({ length: to }, (_, i) => {
    const centre = (i + 0.5) * ratio;
    const start = Math.max(0, Math.floor(centre - support + 0.5)), end = Math.min(from, Math.floor(centre + support + 0.5));
    const weights = Float64Array.from({ length: end - start }, (_value, k) => Math.max(0, 1 - Math.abs((start + k + 0.5 - centre) / support)));
    const sum = weights.reduce((a, b) => a + b, 0);
    return { start, weights: weights.map((weight) => weight / sum) };
  });
}

/**
 * Bilinear interpolation with antialiasing, like PIL.Image.resize(BILINEAR).
 * @returns an image of the same element type and layout; bytes are rounded
 */
export function resizeImage(image: RawImage, height: number, width: number): RawImage {
  if (image.height === height && image.width === width) return image;
  const { channels, data, layout } = image;
  const rows = triangleWeights(image.height, height), columns = triangleWeights(image.width, width);
  const planar = layout === 'chw';
  const [pixel, plane] = planar ? [1, image.height * image.width] : [channels, 1];
  const [outPixel, outPlane] = planar ? [1, height * width] : [channels, 1];
  const out = data instanceof Uint8Array ? new Uint8ClampedArray(channels * height * width) : new Float32Array(channels * height * width);
  const narrow = new Float32Array(image.height * width);
  for (let channel = 0; channel < channels; channel++) {
    for (let y = 0; y < image.height; y++) {
      const row = channel * plane + y * image.width * pixel;
      for (let x = 0; x < width; x++) {
        const { start, weights } = columns[x]!;
        let sum = 0;
        for (let k = 0; k < weights.length; k++) sum += weights[k]! * data[row + (start + k) * pixel]!;
        narrow[y * width + x] = sum;
      }
    }
    for (let y = 0; y < height; y++) {
      const { start, weights } = rows[y]!;
      for (let x = 0; x < width; x++) {
        let sum = 0;
        for (let k = 0; k < weights.length; k++) sum += weights[k]! * narrow[(start + k) * width + x]!;
        out[channel * outPlane + (y * width + x) * outPixel] = sum;
      }
    }
  }
  return { data: out instanceof Uint8ClampedArray ? new Uint8Array(out.buffer) : out, channels, height, width, layout };
}

/** The middle of an image that is at least as large. */
export function centreCrop(image: RawImage, height: number, width: number): RawImage {
  if (image.height === height && image.width === width) return image;
  const { channels, data, layout } = image;
  const top = Math.round((image.height - height) / 2), left = Math.round((image.width - width) / 2);
  const planes = layout === 'chw' ? channels : 1, run = layout === 'chw' ? 1 : channels;
  const out = data instanceof Uint8Array ? new Uint8Array(channels * height * width) : new Float32Array(channels * height * width);
  for (let plane = 0; plane < planes; plane++) {
    for (let y = 0; y < height; y++) {
      const from = ((plane * image.height + top + y) * image.width + left) * run;
      out.set(data.subarray(from, from + width * run), (plane * height + y) * width * run);
    }
  }
  return { data: out, channels, height, width, layout };
}
