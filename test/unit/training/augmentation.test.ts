import { describe, expect, it } from 'vitest';
import { Random } from '../../../src/engine/numerics/random.ts';
import { augment } from '../../../src/engine/training/augmentation.ts';

const dims = [2, 1, 4, 5] as const, images = Float32Array.from({ length: 40 }, (_, i) => i + 1), still = { shift: 0, flip: false };

describe('augmentation', () => {
  it('leaves images as they are where nothing is asked for', () => {
    expect(augment(images, dims, still, new Random(1))).toEqual({ images, shares: new Float32Array(2) });
  });

  it('shifts whole images, with zeros coming in, and mirrors some', () => {
    const seen = new Set<string>();
    for (let seed = 0; seed < 60; seed++) {
      const { images: out } = augment(images, dims, { shift: 1 / 4, flip: true }, new Random(seed));
      for (let n = 0; n < 2; n++) {
        const at = (y: number, x: number): number => out[n * 20 + y * 5 + x]!, source = (y: number, x: number): number => (y < 0 || y > 3 || x < 0 || x > 4 ? 0 : images[n * 20 + y * 5 + x]!);
        const fits = [-1, 0, 1].flatMap((down) => [-1, 0, 1].flatMap((right) => [false, true].map((mirrored) => ({ down, right, mirrored }))))
          .find(({ down, right, mirrored }) => [0, 1, 2, 3].every((y) => [0, 1, 2, 3, 4].every((x) => at(y, x) === (mirrored ? source(y - down, 4 - x - right) : source(y - down, x - right)))));
        expect(fits).toBeDefined();
        seen.add(JSON.stringify(fits));
      }
    }
    expect(seen.size).toBe(18);
  });

  it('does the same with channels last, whose channels stay together, and shifts each axis by no more than its share', () => {
    const [batch, channels, height, width] = [2, 3, 16, 9], planes = Float32Array.from({ length: batch * channels * height * width }, (_, i) => i + 1), size = height * width;
    const last = (values: Float32Array): Float32Array => Float32Array.from(values, (_, i) => { const n = Math.floor(i / (channels * size)), p = Math.floor(i / channels) % size; return values[(n * channels + i % channels) * size + p]!; });
    for (let seed = 0; seed < 30; seed++) {
      const some = { shift: 1 / 8, flip: true, blend: true }, { images: first } = augment(planes, [batch, channels, height, width], some, new Random(seed));
      expect(augment(last(planes), [batch, height, width, channels], { ...some, layout: 'nhwc' }, new Random(seed)).images).toEqual(last(first));
      const { images: shifted } = augment(planes, [batch, channels, height, width], { shift: 1 / 8, flip: false }, new Random(seed));
      for (let i = 0; i < batch * channels; i++) expect(shifted.subarray(i * size, (i + 1) * size).filter((value) => value === 0).length).toBeLessThanOrEqual(size - (height - 2) * (width - 1));
    }
  });

  it('blends every image with the next one, in proportions of its own that sum to one', () => {
    const { images: out, shares } = augment(images, dims, { ...still, blend: true }, new Random(3));
    for (const [n, share] of shares.entries()) for (let i = 0; i < 20; i++) expect(out[n * 20 + i]).toBeCloseTo((1 - share) * images[n * 20 + i]! + share * images[(1 - n) * 20 + i]!, 4);
    for (const share of shares) { expect(share).toBeGreaterThan(0); expect(share).toBeLessThan(0.5); }
    expect(shares[0]).not.toBeCloseTo(shares[1]!, 2);
  });
});
