import { describe, expect, it } from 'vitest';
import { Random } from '../../../src/engine/numerics/random.ts';

const mean = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0) / values.length;
const draw = (count: number, next: () => number): number[] => Array.from({ length: count }, next);

/** Density of the standard normal integrated numerically: an independent reference for the truncated moments. */
function truncatedMoments(mu: number, sigma: number, low: number, high: number): { mean: number; sd: number } {
  let mass = 0, first = 0, second = 0;
  const steps = 20_000;
  for (let i = 0; i < steps; i++) {
    const x = low + (high - low) * (i + 0.5) / steps, p = Math.exp(-((x - mu) ** 2) / (2 * sigma ** 2));
    mass += p; first += p * x; second += p * x * x;
  }
  return { mean: first / mass, sd: Math.sqrt(second / mass - (first / mass) ** 2) };
}

describe('Random', () => {
  it('repeats itself from a seed', () => {
    const a = new Random(5), b = new Random(5);
    expect(draw(20, () => a.uniform())).toEqual(draw(20, () => b.uniform()));
    expect(draw(20, () => a.normal())).toEqual(draw(20, () => b.normal()));
    expect(new Random(6).uniform()).not.toBe(new Random(5).uniform());
  });

  it('draws uniform and normal numbers with the right moments', () => {
    const random = new Random(1), uniform = draw(20_000, () => random.uniform(2, 4)), normal = draw(20_000, () => random.normal(1, 3));
    expect(Math.min(...uniform)).toBeGreaterThanOrEqual(2);
    expect(Math.max(...uniform)).toBeLessThan(4);
    expect(mean(uniform)).toBeCloseTo(3, 1);
    expect(mean(normal)).toBeCloseTo(1, 1);
    expect(Math.sqrt(mean(normal.map((v) => (v - 1) ** 2)))).toBeCloseTo(3, 1);
  });

  it.each([[0.5, 0.5, 0, 1], [0.9, 0.1, 0.2, 1], [0.05, 0.3, 0.4, 0.6], [0.5, 0.02, 0.9, 1], [1, 0.05, 0, 0.3], [0, 1, -4, 4], [0, 1, 1, 9]])(
    'draws a truncated normal around %d with sigma %d in [%d, %d] with the right moments', (mu, sigma, low, high) => {
      const random = new Random(3), values = draw(20_000, () => random.truncatedNormal(mu, sigma, low, high)), expected = truncatedMoments(mu, sigma, low, high);
      expect(Math.min(...values)).toBeGreaterThanOrEqual(low);
      expect(Math.max(...values)).toBeLessThanOrEqual(high);
      expect(Math.abs(mean(values) - expected.mean)).toBeLessThan(0.04 * expected.sd);
      const centre = mean(values), sd = Math.sqrt(mean(values.map((v) => (v - centre) ** 2)));
      expect(Math.abs(sd / expected.sd - 1)).toBeLessThan(0.04);
    });

  it('clamps when there is nothing to draw from', () => {
    expect(new Random(1).truncatedNormal(0.9, 0, 0, 0.5)).toBe(0.5);
    expect(new Random(1).truncatedNormal(0.9, 0.5, 0.4, 0.4)).toBe(0.4);
  });

  it('shuffles every order equally often', () => {
    const random = new Random(2), counts = new Map<string, number>();
    for (let i = 0; i < 6000; i++) { const order = random.shuffle([1, 2, 3]).join(''); counts.set(order, (counts.get(order) ?? 0) + 1); }
    expect(counts.size).toBe(6);
    for (const count of counts.values()) expect(Math.abs(count - 1000)).toBeLessThan(130);
  });
});
