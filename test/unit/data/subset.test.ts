import fc from 'fast-check';
import { expect, it } from 'vitest';
import { dividedData, evenSubset, stratifiedSubset } from '../../../src/engine/data/subset.ts';

it('takes every class in proportion', () => {
  const labels = Array.from({ length: 1000 }, (_, i) => (i < 500 ? 0 : i < 800 ? 1 : 2));
  const counts = [0, 0, 0];
  for (const i of stratifiedSubset(labels, 100, 7)) counts[labels[i]!]!++;
  expect(counts).toEqual([50, 30, 20]);
});

it('gives the same choice for one seed and others for others', () => {
  const labels = Array.from({ length: 300 }, (_, i) => i % 10);
  expect(stratifiedSubset(labels, 50, 1)).toEqual(stratifiedSubset(labels, 50, 1));
  expect(stratifiedSubset(labels, 50, 1)).not.toEqual(stratifiedSubset(labels, 50, 2));
});

it('takes exactly the asked number, sorted, without repeats, and every class where there is room, whatever the labels', () => {
  fc.assert(fc.property(fc.array(fc.integer({ min: 0, max: 12 }), { maxLength: 200 }), fc.integer({ min: 0, max: 220 }), fc.integer(), (labels, count, seed) => {
    const chosen = stratifiedSubset(labels, count, seed);
    expect(chosen).toHaveLength(Math.min(count, labels.length));
    expect(chosen.every((index, i) => index >= 0 && index < labels.length && (i === 0 || index > chosen[i - 1]!))).toBe(true);
    const classes = new Set(labels);
    if (count >= classes.size) expect(new Set(chosen.map((i) => labels[i])).size).toBe(classes.size);
  }));
});

it('spreads unlabelled samples evenly', () => {
  expect(evenSubset(10, 5)).toEqual([0, 2, 4, 6, 8]);
  expect(evenSubset(3, 5)).toEqual([0, 1, 2]);
});

it('divides a data set between judging and calibration without sharing a sample, every class in proportion', () => {
  const labels = Int32Array.from({ length: 1000 }, (_, i) => (i < 600 ? 0 : 1)), { judging, calibration } = dividedData({ count: 1000, labels }, 10_000, 3)!;
  expect([...judging, ...calibration].sort((a, b) => a - b)).toEqual(Array.from({ length: 1000 }, (_, i) => i));
  expect(judging).toHaveLength(300);
  expect(judging.filter((i) => labels[i] === 0)).toHaveLength(180);
});

it('lets a thousand samples judge, or all that calibration has no need of, within what memory holds', () => {
  const sizes = (count: number, most = 10_000): number[] | undefined => { const divided = dividedData({ count }, most, 0); return divided && [divided.judging.length, divided.calibration.length]; };
  expect(sizes(99)).toBeUndefined();
  expect(sizes(100)).toEqual([30, 70]);
  expect(sizes(5000)).toEqual([1000, 4000]);
  expect(sizes(10_000)).toEqual([5000, 5000]);
  expect(sizes(50_000)).toEqual([10_000, 10_000]);
  expect(sizes(50_000, 2000)).toEqual([2000, 2000]);
  expect(new Set(Object.values(dividedData({ count: 50_000 }, 2000, 0)!).flat()).size).toBe(4000);
});
