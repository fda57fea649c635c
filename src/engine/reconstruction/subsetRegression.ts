import { CholeskyFactor } from './cholesky.ts';
import { type RowLayout, columnsOf } from './layerRows.ts';
import { pickColumns } from './refitTargets.ts';

/** A least-squares problem of one layer that is solved for many choices of its input channels. */
export interface SubsetRegression {
  /** Sets the right side. @param right float64 [columns, outs], overwritten */
  aim(right: Float64Array): Promise<void>;
  /**
   * @param kept input channels, ascending; all when absent @param wanted outputs, ascending; all when absent
   * @returns float32 [kept columns, wanted outputs], in the order of columns, the constant one last
   */
  solve(kept: ArrayLike<number> | undefined, wanted?: ArrayLike<number>): Promise<Float32Array>;
}

/** Columns of a regression that belong to input channels, in their order, without the constant one. */
const columnsFor = ({ taps }: RowLayout, channels: ArrayLike<number>): number[] => Array.from(channels).flatMap((channel) => Array.from({ length: taps }, (_, tap) => channel * taps + tap));
const allChannels = ({ channels }: RowLayout): number[] => Array.from({ length: channels }, (_, channel) => channel);

/**
 * For channels that candidates give up in one order: with the columns sorted so that those that stay longest come first, what a candidate keeps is a leading
 * part of one system, so that one Cholesky factor, and one forward solution, serve all of them. A choice costs a backward solution.
 * @param gram float64 [columns, columns], ridge included; overwritten @param order input channels, those that stay longest first
 */
export async function nestedRegression(gram: Float64Array, layout: RowLayout, order: ArrayLike<number>): Promise<SubsetRegression> {
  const columns = columnsOf(layout), { taps, outs } = layout, sorted = [columns - 1, ...columnsFor(layout, order)];
  permuteSymmetric(gram, columns, sorted);
  const factor = await CholeskyFactor.inFloat32(gram, columns), rank = new Int32Array(order.length);
  Array.from(order).forEach((channel, i) => { rank[channel] = i; });
  let halfway: Float32Array;
  return {
    aim: async (right) => {
      const z = new Float32Array(columns * outs);
      sorted.forEach((row, i) => { z.set(right.subarray(row * outs, (row + 1) * outs), i * outs); });
      halfway = await factor.forward(z, outs);
    },
    solve: async (kept, wanted) => {
      const channels = kept ?? allChannels(layout), size = 1 + channels.length * taps, width = wanted?.length ?? outs;
      const solved = await factor.backward(pickColumns(halfway.slice(0, size * outs), outs, wanted), width, size), natural = new Float32Array(size * width);
      Array.from(channels).forEach((channel, i) => {
        const at = rank[channel]!;
        if (at >= channels.length) throw new RangeError(`channel ${channel} stays although others that stay longer are gone`);
        natural.set(solved.subarray((1 + at * taps) * width, (1 + (at + 1) * taps) * width), i * taps * width);
      });
      natural.set(solved.subarray(0, width), (size - 1) * width);
      return natural;
    },
  };
}

/** Puts row and column `order[i]` of a square matrix in place i, in place. */
function permuteSymmetric(matrix: Float64Array, n: number, order: readonly number[]): void {
  const spare = new Float64Array(n), rowOf = (i: number): Float64Array => matrix.subarray(i * n, (i + 1) * n), moved = new Uint8Array(n);
  for (let first = 0; first < n; first++) { // rows, cycle by cycle
    if (moved[first]) continue;
    spare.set(rowOf(first));
    let to = first;
    for (let from = order[to]!; from !== first; to = from, from = order[to]!) { rowOf(to).set(rowOf(from)); moved[to] = 1; }
    rowOf(to).set(spare);
    moved[to] = 1;
  }
  for (let i = 0; i < n; i++) {
    const row = rowOf(i);
    spare.set(row);
    for (let j = 0; j < n; j++) row[j] = spare[order[j]!]!;
  }
}

/** For channels that any choice may keep, as where several groups meet: each choice is a system of its own. @param gram float64 [columns, columns], ridge included */
export function anyRegression(gram: Float64Array, layout: RowLayout): SubsetRegression {
  const columns = columnsOf(layout), { outs } = layout, whole = Float32Array.from(gram);
  let aimed: Float32Array;
  return {
    aim: (right) => { aimed = Float32Array.from(right); return Promise.resolve(); },
    solve: async (kept, wanted) => {
      const used = [...columnsFor(layout, kept ?? allChannels(layout)), columns - 1], width = wanted?.length ?? outs, part = new Float64Array(used.length ** 2), right = new Float64Array(used.length * width);
      used.forEach((row, i) => {
        for (let j = 0; j <= i; j++) part[i * used.length + j] = whole[row * columns + used[j]!]!;
        right.set(pickColumns(aimed.subarray(row * outs, (row + 1) * outs), outs, wanted), i * width);
      });
      return Float32Array.from(await (await CholeskyFactor.of(part, used.length)).solve(right, width));
    },
  };
}
