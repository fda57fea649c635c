import { describe, expect, it } from 'vitest';
import { Random } from '../../../src/engine/numerics/random.ts';
import { fitSparse } from '../../../src/engine/reconstruction/fitSparse.ts';
import { aimed } from '../../../src/engine/reconstruction/leastSquares.ts';
import { solveMasked, thinOut } from '../../../src/engine/reconstruction/sparseWeights.ts';

const random = new Random(3), rows = 400, columns = 13, outs = 5;
/** Inputs whose columns are correlated; the last one is constant. */
const inputs = new Float32Array(rows * columns);
for (let r = 0; r < rows; r++) {
  const common = random.normal();
  for (let c = 0; c < columns; c++) inputs[r * columns + c] = c === columns - 1 ? 1 : random.normal() + common * (c % 3);
}
const normal = (count: number): Float32Array => Float32Array.from({ length: count }, () => random.normal());
const times = (a: Float32Array, b: Float32Array, n: number, k: number, m: number): Float32Array => Float32Array.from({ length: n * m }, (_, at) => { let sum = 0; for (let i = 0; i < k; i++) sum += a[Math.floor(at / m) * k + i]! * b[i * m + (at % m)]!; return sum; });
const gram = Float32Array.from({ length: columns * columns }, (_, at) => { let sum = 0; for (let r = 0; r < rows; r++) sum += inputs[r * columns + Math.floor(at / columns)]! * inputs[r * columns + (at % columns)]!; return sum; });
const weights = normal(columns * outs), problem = { gram, right: times(gram, weights, columns, columns, outs), columns, outs };
const linear = { scale: new Float32Array(outs).fill(1), shift: new Float32Array(outs), low: -Infinity, high: Infinity };
const squaredError = (fitted: Float32Array, target: Float32Array, relu = false): number => times(inputs, fitted, rows, columns, outs).reduce((sum, y, i) => sum + ((relu ? Math.max(0, y) : y) - target[i]!) ** 2, 0);

/** Solves a small symmetric system by Gaussian elimination with pivoting: the independent reference. */
function solve(a: number[][], b: number[]): number[] {
  const n = b.length, m = a.map((row, i) => [...row, b[i]!]);
  for (let i = 0; i < n; i++) {
    const pivot = m.slice(i).reduce((best, row, k) => (Math.abs(row[i]!) > Math.abs(m[best]![i]!) ? i + k : best), i);
    [m[i], m[pivot]] = [m[pivot]!, m[i]!];
    for (let r = 0; r < n; r++) if (r !== i) { const factor = m[r]![i]! / m[i]![i]!; for (let c = i; c <= n; c++) m[r]![c]! -= factor * m[i]![c]!; }
  }
  return m.map((row, i) => row[n]! / row[i]!);
}

describe('weights of a layer that is pruned one by one', () => {
  it('are, within their mask, the exact least-squares solution of each output', async () => {
    const mask = Uint8Array.from({ length: columns * outs }, (_, at) => Number(at >= (columns - 1) * outs || random.uniform() < 0.4));
    const found = await solveMasked(problem, mask, weights, 60);
    for (let o = 0; o < outs; o++) {
      const own = Array.from({ length: columns }, (_, c) => c).filter((c) => mask[c * outs + o]);
      const exact = solve(own.map((i) => own.map((j) => gram[i * columns + j]!)), own.map((i) => problem.right[i * outs + o]!));
      own.forEach((c, i) => { expect(found[c * outs + o]).toBeCloseTo(exact[i]!, 2); });
    }
    expect(found.every((value, at) => mask[at] === 1 || value === 0)).toBe(true);
  });

  it('keep the asked share, all biases, and ever fewer of the same ones', async () => {
    let before: Uint8Array | undefined;
    for await (const { density, mask, weights: thinned } of thinOut(problem, weights, [0.6, 0.3, 0.1], 20)) {
      const count = (columns - 1) * outs, present = mask.subarray(0, count).reduce((a, b) => a + b, 0);
      expect(present).toBe(Math.round(density * count));
      expect([...mask.subarray(count)]).toEqual(Array.from({ length: outs }, () => 1));
      if (before) expect(mask.every((stays, at) => stays <= before![at]!)).toBe(true);
      expect(thinned.every((value, at) => mask[at] === 1 || value === 0)).toBe(true);
      before = mask;
    }
  });

  it('go before any other where they are zero already, wherever they stand', async () => {
    const half = weights.map((value, at) => (at < (columns - 1) * outs && at % outs < 2 ? 0 : value)), count = (columns - 1) * outs; // three of five stay
    for await (const { density, mask } of thinOut({ ...problem, right: times(gram, half, columns, columns, outs) }, half, [0.8, 0.6], 20)) {
      expect(mask.subarray(0, count).reduce((a, b) => a + b, 0)).toBe(Math.round(density * count));
      expect(half.every((value, at) => value === 0 || mask[at] === 1)).toBe(true);
    }
  });

  it('lose less than by magnitude alone, and less still when the activation is known', async () => {
    const target = times(inputs, weights, rows, columns, outs), density = 0.4, count = (columns - 1) * outs;
    const threshold = [...weights.subarray(0, count)].map(Math.abs).sort((a, b) => b - a)[Math.round(density * count) - 1]!;
    const magnitude = weights.map((value, at) => (at >= count || Math.abs(value) >= threshold ? value : 0));
    const fitted = await fitSparse([aimed({ inputs, target }, outs, linear)], columns, outs, weights, { rounds: 0, ridge: 1e-6, density });
    expect(fitted.subarray(0, count).filter((value) => value !== 0).length).toBeLessThanOrEqual(Math.round(density * count));
    expect(squaredError(fitted, target)).toBeLessThan(0.7 * squaredError(magnitude, target));
    const cut = target.map((z) => Math.max(0, z)), known = await fitSparse([aimed({ inputs, target }, outs, { ...linear, low: 0 })], columns, outs, weights, { rounds: 6, ridge: 1e-6, density });
    expect(squaredError(known, cut, true)).toBeLessThan(squaredError(fitted, cut, true));
  });

  it('are what they were when all of them stay', async () => {
    const target = times(inputs, weights, rows, columns, outs);
    const fitted = await fitSparse([aimed({ inputs, target }, outs, linear)], columns, outs, weights, { rounds: 0, ridge: 1e-6, density: 1 });
    fitted.forEach((value, at) => { expect(value).toBeCloseTo(weights[at]!, 3); });
  });
});
