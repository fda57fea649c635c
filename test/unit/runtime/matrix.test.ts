import { describe, expect, it } from 'vitest';
import { Random } from '../../../src/engine/numerics/random.ts';
import { addGram, mirror, product, transposedProduct, transposedWithin } from '../../../src/engine/runtime/matrix.ts';

describe('Gram product', () => {
  it.each([[5, 7], [40, 383], [33, 384], [17, 801]])('of %i rows and %i columns is the sum over rows, whole and symmetric', async (rows, columns) => {
    const random = new Random(rows), a = Float64Array.from({ length: rows * columns }, () => random.normal()), gram = new Float64Array(columns ** 2).fill(0);
    for (let i = 0; i < columns; i++) gram[i * columns + i] = 2; // added to what is there
    await addGram(gram, a, rows, columns);
    mirror(gram, columns);
    let worst = 0;
    for (let i = 0; i < columns; i += 3) for (let j = 0; j < columns; j++) {
      let wanted = i === j ? 2 : 0;
      for (let r = 0; r < rows; r++) wanted += a[r * columns + i]! * a[r * columns + j]!;
      worst = Math.max(worst, Math.abs(gram[i * columns + j]! - wanted));
    }
    expect(worst).toBeLessThan(1e-11);
  });

  it('of float32 rows is summed in float64', async () => {
    const gram = new Float64Array(4);
    for (let part = 0; part < 100; part++) await addGram(gram, Float32Array.of(4096, 1), 1, 2);
    mirror(gram, 2);
    expect([...gram]).toEqual([100 * 4096 ** 2, 409600, 409600, 100]);
  });
});

describe('product within bounds', () => {
  it('is kept between them, where they are infinite as well, before it is multiplied again', async () => {
    const random = new Random(5), [k, i, j] = [50, 7, 9], normal = (count: number): Float32Array => Float32Array.from({ length: count }, () => random.normal());
    const a = normal(k * i), b = normal(i * j), low = normal(k * j).map((value, at) => (at % 3 === 0 ? -Infinity : value - 1)), high = low.map((value, at) => (at % 4 === 1 ? Infinity : Math.max(value, -1) + 1));
    const free = await product(a, b, k, i, j), within = free.map((value, at) => Math.max(low[at]!, Math.min(value, high[at]!)));
    expect(within.filter((value, at) => value !== free[at]).length).toBeGreaterThan(50);
    const wanted = await transposedProduct(a, within, k, i, j), found = await transposedWithin(a, b, { low, high }, k, i, j);
    found.forEach((value, at) => { expect(value).toBeCloseTo(wanted[at]!, 3); });
  });
});
