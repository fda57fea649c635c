import { describe, expect, it } from 'vitest';
import { CholeskyFactor, inverseSpd } from '../../../src/engine/reconstruction/cholesky.ts';
import { Random } from '../../../src/engine/numerics/random.ts';

/** A random symmetric positive definite matrix, XᵀX of more rows than columns, summed naively. */
function spd(n: number, random: Random): Float64Array {
  const rows = n + 20, x = Float64Array.from({ length: rows * n }, () => random.normal()), a = new Float64Array(n * n);
  for (let r = 0; r < rows; r++) for (let i = 0; i < n; i++) for (let j = 0; j < n; j++) a[i * n + j]! += x[r * n + i]! * x[r * n + j]!;
  return a;
}

describe('Cholesky by blocks', () => {
  // 1 and 7 stay inside a block, 128 is exactly one, 129 and 300 cross block borders and use onnxruntime's products
  it.each([1, 7, 128, 129, 300])('solves A w = b for %i unknowns', async (n) => {
    const random = new Random(n), a = spd(n, random), m = 5, b = Float64Array.from({ length: n * m }, () => random.normal());
    const w = await (await CholeskyFactor.of(a.slice(), n)).solve(b.slice(), m);
    for (let i = 0; i < n; i++) {
      for (let o = 0; o < m; o++) {
        let sum = 0;
        for (let k = 0; k < n; k++) sum += a[i * n + k]! * w[k * m + o]!;
        expect(Math.abs(sum - b[i * m + o]!)).toBeLessThan(1e-8);
      }
    }
  });

  it.each([5, 150, 300])('inverts a matrix of %i rows', async (n) => {
    const a = spd(n, new Random(3)), inverse = await inverseSpd(a.slice(), n);
    for (let i = 0; i < n; i += 37) {
      for (let j = 0; j < n; j++) {
        let sum = 0;
        for (let k = 0; k < n; k++) sum += a[i * n + k]! * inverse[k * n + j]!;
        expect(sum).toBeCloseTo(i === j ? 1 : 0, 8);
      }
    }
  });

  it('stays finite for a singular matrix', async () => {
    const n = 4, a = new Float64Array(n * n).fill(1);
    expect(Array.from(await (await CholeskyFactor.of(a, n)).solve(Float64Array.of(1, 2, 3, 4), 1)).every(Number.isFinite)).toBe(true);
  });
});
