import { describe, expect, it } from 'vitest';
import { Random } from '../../../src/engine/numerics/random.ts';
import { addGram, mirror } from '../../../src/engine/runtime/matrix.ts';

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
