import { describe, expect, it } from 'vitest';
import { Random } from '../../../src/engine/numerics/random.ts';
import type { RowLayout } from '../../../src/engine/reconstruction/layerRows.ts';
import { addRidge, aimed, fitWeights, gramOf, rightSide } from '../../../src/engine/reconstruction/leastSquares.ts';
import { anyRegression, nestedRegression } from '../../../src/engine/reconstruction/subsetRegression.ts';

const channels = 40, taps = 4, outs = 6, columns = channels * taps + 1, rows = 700, random = new Random(5);
const layout: RowLayout = { groups: 1, channels, taps, outs, positions: 1, constant: 1 };
const order = Array.from({ length: channels }, (_, i) => (i * 7) % channels); // those that stay longest first
const inputs = Float32Array.from({ length: rows * columns }, (_, i) => (i % columns === columns - 1 ? 1 : random.normal())), target = Float32Array.from({ length: rows * outs }, () => random.normal());
const transform = { scale: new Float32Array(outs).fill(1), shift: new Float32Array(outs), low: -Infinity, high: Infinity };

/** The same problem with the other columns left out, solved as any other. */
function alone(kept: readonly number[]): Promise<Float32Array> {
  const used = [...kept.flatMap((channel) => Array.from({ length: taps }, (_, tap) => channel * taps + tap)), columns - 1];
  const part = Float32Array.from({ length: rows * used.length }, (_, i) => inputs[Math.floor(i / used.length) * columns + used[i % used.length]!]!);
  return fitWeights([aimed({ inputs: part, target }, outs, transform)], used.length, outs, new Float32Array(used.length * outs), { rounds: 0, ridge: 1e-9 });
}

describe('regressions on a part of the columns', () => {
  it.each([1, 9, 32, 33, 40])('are solved from one factor for the first %i channels in the order of leaving', async (count) => {
    const gram = await gramOf([{ inputs }], columns), ridge = addRidge(gram, columns, 1e-9), kept = order.slice(0, count).sort((a, b) => a - b), expected = await alone(kept);
    for (const regression of [await nestedRegression(gram.slice(), layout, order), anyRegression(gram, layout)]) {
      await regression.aim(await rightSide([aimed({ inputs, target }, outs, transform)], columns, outs, new Float32Array(columns * outs), ridge));
      const solved = await regression.solve(count === channels ? undefined : kept);
      expect(Math.max(...solved.map((value, i) => Math.abs(value - expected[i]!)))).toBeLessThan(1e-5);
      const some = [0, outs - 1], picked = await regression.solve(kept, some);
      expect(Math.max(...picked.map((value, i) => Math.abs(value - expected[Math.floor(i / 2) * outs + some[i % 2]!]!)))).toBeLessThan(1e-5);
    }
  });

  it('refuse channels that leave before others that are gone', async () => {
    const gram = await gramOf([{ inputs }], columns);
    addRidge(gram, columns, 1e-9);
    const regression = await nestedRegression(gram, layout, order);
    await regression.aim(new Float64Array(columns * outs));
    await expect(regression.solve([order[3]!])).rejects.toThrow(`channel ${order[3]!} stays although`);
  });
});
