import { describe, expect, it } from 'vitest';
import { Random } from '../../../src/engine/numerics/random.ts';
import { aimed, fitWeights } from '../../../src/engine/reconstruction/leastSquares.ts';

const rows = 400, inputs = 6, columns = inputs + 1, outs = 3;
const random = new Random(1);
const x = Float32Array.from({ length: rows * columns }, (_, i) => (i % columns === inputs ? 1 : random.normal()));
const truth = Float32Array.from({ length: columns * outs }, () => random.normal());
const plain = { scale: new Float32Array(outs).fill(1), shift: new Float32Array(outs), low: -Infinity, high: Infinity };

/** rows x weights, naively. */
function apply(weights: Float32Array): Float32Array {
  const y = new Float32Array(rows * outs);
  for (let r = 0; r < rows; r++) for (let o = 0; o < outs; o++) for (let c = 0; c < columns; c++) y[r * outs + o]! += x[r * columns + c]! * weights[c * outs + o]!;
  return y;
}
const worst = (a: Float32Array, b: Float32Array): number => a.reduce((most, value, i) => Math.max(most, Math.abs(value - b[i]!)), 0);

describe('fitting a layer by least squares', () => {
  it('finds the weights and the bias that made the outputs, whatever it starts from', async () => {
    const fitted = await fitWeights([aimed({ inputs: x, target: apply(truth) }, outs, plain)], columns, outs, new Float32Array(columns * outs), { rounds: 0, ridge: 1e-9 });
    expect(worst(fitted, truth)).toBeLessThan(1e-3);
  });

  it('sums several chunks of rows', async () => {
    const y = apply(truth), half = rows / 2;
    const chunks = [0, 1].map((i) => ({ inputs: x.slice(i * half * columns, (i + 1) * half * columns), target: y.slice(i * half * outs, (i + 1) * half * outs) }));
    expect(worst(await fitWeights(chunks.map((chunk) => aimed(chunk, outs, plain)), columns, outs, new Float32Array(columns * outs), { rounds: 0, ridge: 1e-9 }), truth)).toBeLessThan(1e-3);
  });

  it('takes scale, shift and shortcut of what follows into account', async () => {
    const scale = Float32Array.of(2, -0.5, 3), shift = Float32Array.of(1, 0, -1), residual = Float32Array.from({ length: rows * outs }, () => random.normal());
    const target = apply(truth).map((y, i) => scale[i % outs]! * y + shift[i % outs]! + residual[i]!);
    const fitted = await fitWeights([aimed({ inputs: x, target, residual }, outs, { ...plain, scale, shift })], columns, outs, new Float32Array(columns * outs), { rounds: 0, ridge: 1e-9 });
    expect(worst(fitted, truth)).toBeLessThan(1e-3);
  });

  it('lowers the error behind a Relu further when it knows the Relu', async () => {
    const noisy = apply(truth).map((y, i) => y + 0.8 * y * y * (i % 2)); // not linear, so that no weights fit exactly
    const start = new Float32Array(columns * outs), relu = { ...plain, low: 0 };
    const error = async (rounds: number): Promise<number> => {
      const y = apply(await fitWeights([aimed({ inputs: x, target: noisy }, outs, relu)], columns, outs, start, { rounds, ridge: 1e-9 }));
      // what the rounds minimise: no error where wanted and predicted are both cut, the plain one where the wanted value is not
      return y.reduce((sum, value, i) => sum + (noisy[i]! <= 0 ? Math.max(0, value) : value - noisy[i]!) ** 2, 0);
    };
    const [blind, one, ten] = [await error(0), await error(1), await error(10)];
    expect(one).toBeLessThan(blind);
    expect(ten).toBeLessThan(one);
  });

  it('stays at the present weights where the inputs say nothing', async () => {
    const empty = Float32Array.from({ length: rows * columns }, (_, i) => Number(i % columns === columns - 1)), present = Float32Array.from(truth);
    const biases = Float32Array.from({ length: rows * outs }, (_, i) => truth[(columns - 1) * outs + (i % outs)]!);
    const fitted = await fitWeights([aimed({ inputs: empty, target: biases }, outs, plain)], columns, outs, present, { rounds: 0, ridge: 1e-3 });
    expect(worst(fitted, present)).toBeLessThan(1e-5);
  });
});
