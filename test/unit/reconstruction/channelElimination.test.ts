import { describe, expect, it } from 'vitest';
import { Random } from '../../../src/engine/numerics/random.ts';
import { eliminateUnits } from '../../../src/engine/reconstruction/channelElimination.ts';
import { aimed, fitWeights } from '../../../src/engine/reconstruction/leastSquares.ts';

const units = 8, taps = 2, rows = 600, outs = 4, inputs = units * taps, columns = inputs + 1;
const plain = { scale: new Float32Array(outs).fill(1), shift: new Float32Array(outs), low: -Infinity, high: Infinity };

function problem(seed: number): { x: Float32Array; y: Float32Array; weights: Float32Array; gram: Float64Array } {
  const random = new Random(seed), x = new Float32Array(rows * columns);
  for (let r = 0; r < rows; r++) {
    for (let c = 0; c < inputs; c++) x[r * columns + c] = random.normal();
    for (let t = 0; t < taps; t++) x[r * columns + 5 * taps + t] = x[r * columns + 2 * taps + t]! + 0.01 * random.normal(); // unit 5 repeats unit 2
    x[r * columns + inputs] = 1;
  }
  const weights = Float32Array.from({ length: columns * outs }, () => random.normal()), y = new Float32Array(rows * outs), gram = new Float64Array(columns ** 2);
  for (let t = 0; t < taps; t++) for (let o = 0; o < outs; o++) weights[(3 * taps + t) * outs + o]! *= 0.001; // unit 3 hardly matters
  for (let r = 0; r < rows; r++) {
    for (let i = 0; i < columns; i++) for (let j = 0; j < columns; j++) gram[i * columns + j]! += x[r * columns + i]! * x[r * columns + j]!;
    for (let o = 0; o < outs; o++) for (let c = 0; c < columns; c++) y[r * outs + o]! += x[r * columns + c]! * weights[c * outs + o]!;
  }
  return { x, y, weights, gram };
}

describe('elimination of channels by optimal brain surgeon', () => {
  it('gives up what is redundant or without effect first', async () => {
    const { gram, weights } = problem(1);
    const { order } = await eliminateUnits([{ gram, weights, outs, unitOf: Int32Array.from({ length: units }, (_, i) => i), taps }], units, { ridge: 1e-6, steps: 64 });
    expect(new Set(order.slice(0, 2))).toEqual(order.includes(2) && order.indexOf(2) < order.indexOf(5) ? new Set([3, 2]) : new Set([3, 5]));
    expect([...order].sort((a, b) => a - b)).toEqual([0, 1, 2, 3, 4, 5, 6, 7]);
  });

  it('predicts the error that a refit from scratch leaves', async () => {
    const { x, y, gram, weights } = problem(2);
    const { order, error } = await eliminateUnits([{ gram, weights, outs, unitOf: Int32Array.from({ length: units }, (_, i) => i), taps }], units, { ridge: 1e-9, steps: 64 });
    const means = Array.from({ length: outs }, (_, o) => y.reduce((sum, value, i) => sum + (i % outs === o ? value : 0), 0) / rows);
    const energy = y.reduce((sum, value, i) => sum + (value - means[i % outs]!) ** 2, 0);
    for (const gone of [2, 4, 6]) {
      const kept = order.slice(gone).sort((a, b) => a - b), keptColumns = [...kept.flatMap((unit) => [unit * taps, unit * taps + 1]), inputs], n = keptColumns.length;
      const reduced = Float32Array.from({ length: rows * n }, (_, i) => x[Math.floor(i / n) * columns + keptColumns[i % n]!]!);
      const fitted = await fitWeights([aimed({ inputs: reduced, target: y }, outs, plain)], n, outs, new Float32Array(n * outs), { rounds: 0, ridge: 1e-9 });
      let left = 0;
      for (let r = 0; r < rows; r++) for (let o = 0; o < outs; o++) {
        let predicted = 0;
        for (let c = 0; c < n; c++) predicted += reduced[r * n + c]! * fitted[c * outs + o]!;
        left += (predicted - y[r * outs + o]!) ** 2;
      }
      expect(error[gone]! / (left / energy)).toBeCloseTo(1, 1);
    }
  });

  it('adds up what several consumers lose, and leaves columns that belong to no unit', async () => {
    const a = problem(3), b = problem(4), unitOf = Int32Array.from({ length: units }, (_, i) => (i < 4 ? i : -1));
    const single = await eliminateUnits([{ ...a, outs, unitOf, taps }], 4, { ridge: 1e-6, steps: 64 });
    const both = await eliminateUnits([{ ...a, outs, unitOf, taps }, { ...b, outs, unitOf, taps }], 4, { ridge: 1e-6, steps: 64 });
    expect(single.order).toHaveLength(4);
    expect(both.error[1]!).toBeGreaterThan(0);
    expect(both.error[2]!).toBeGreaterThanOrEqual(both.error[1]!);
  });
});
