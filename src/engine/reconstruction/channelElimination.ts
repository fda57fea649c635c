import { addGram, mirror, product, transposedProduct } from '../runtime/matrix.ts';
import { CholeskyFactor, inverseSpd } from './cholesky.ts';
import { addRidge } from './leastSquares.ts';

/** One consumer of a pruning group: its input statistics, its weights, and which columns belong to which unit. */
export interface Consumer {
  /** float64 [columns, columns], constant column last; not changed. */
  readonly gram: Float64Array;
  /** float32 [columns, outs] */
  readonly weights: Float32Array;
  readonly outs: number;
  /** For each input channel the unit of the group, or -1 when it always stays. */
  readonly unitOf: Int32Array;
  readonly taps: number;
}

/** An order in which to give up a group's units, and what each step costs. */
export interface Elimination {
  /** All units, the first to go first. */
  readonly order: readonly number[];
  /** error[k]: summed relative squared error of the consumers' outputs, refitted, when the first k units of `order` are gone; error[0] = 0. */
  readonly error: Float64Array;
}

interface State { inverse: Float64Array; weights: Float64Array; columns: Int32Array; readonly outs: number; readonly energy: number; readonly owner: Int32Array }

/**
 * Backward elimination by structured optimal brain surgeon (Hassibi & Stork 1993; per channel as in Frantar et al., arXiv 2208.11580): at each step the unit
 * whose removal, the consumers refitted, raises the summed relative squared error least. Removing columns Q costs
 * tr(W_Qᵀ (H_QQ)⁻¹ W_Q) with H the inverse Gram matrix, and updates W and H by the Schur complement.
 * @param ridge added to the Gram diagonals, relative to their mean
 * @param steps more steps are more exact; with fewer steps than units several units go at once
 */
export async function eliminateUnits(consumers: readonly Consumer[], units: number, options: { ridge: number; steps: number; signal?: AbortSignal }): Promise<Elimination> {
  const states: State[] = [];
  for (const consumer of consumers) states.push(await initialState(consumer, options.ridge));
  const alive = new Set(Array.from({ length: units }, (_, unit) => unit));
  const order: number[] = [], error = new Float64Array(units + 1);
  while (alive.size > 1) {
    options.signal?.throwIfAborted();
    const scores = new Float64Array(units);
    for (const state of states) addScores(state, scores);
    const count = Math.max(1, Math.min(alive.size - 1, Math.ceil(alive.size / options.steps)));
    const going = [...alive].sort((a, b) => scores[a]! - scores[b]! || a - b).slice(0, count);
    let rise = 0;
    for (const state of states) rise += await remove(state, new Set(going));
    const total = going.reduce((sum, unit) => sum + scores[unit]!, 0);
    let base = error[order.length]!;
    for (const unit of going) { // the joint rise, shared out by the single scores
      base += total > 0 ? (rise * scores[unit]!) / total : rise / count;
      order.push(unit);
      error[order.length] = base;
      alive.delete(unit);
    }
  }
  for (const unit of alive) { order.push(unit); error[order.length] = Math.max(error[order.length - 1]!, states.length); }
  return { order, error };
}

async function initialState({ gram, weights, outs, unitOf, taps }: Consumer, ridge: number): Promise<State> {
  const n = unitOf.length * taps + 1, regular = gram.slice();
  addRidge(regular, n, ridge);
  const owner = new Int32Array(n).fill(-1);
  for (let i = 0; i < n - 1; i++) owner[i] = unitOf[Math.floor(i / taps)]!;
  const wide = Float64Array.from(weights);
  return { inverse: await inverseSpd(regular, n), weights: wide, columns: Int32Array.from({ length: n }, (_, i) => i), outs, owner, energy: await outputEnergy(gram, wide, n, outs) };
}

/** Summed squared deviation of the outputs from their means: tr(Wᵀ G W) less the part that a constant explains. */
async function outputEnergy(gram: Float64Array, weights: Float64Array, n: number, outs: number): Promise<number> {
  const gw = await product(gram, weights, n, n, outs), rows = gram[n * n - 1]!;
  let energy = 0;
  for (let i = 0; i < n * outs; i++) energy += weights[i]! * gw[i]!;
  for (let o = 0; o < outs; o++) energy -= gw[(n - 1) * outs + o]! ** 2 / rows;
  return Math.max(energy, 1e-12);
}

/** Present columns of each unit. */
function columnsByUnit(state: State): Map<number, number[]> {
  const byUnit = new Map<number, number[]>();
  state.columns.forEach((column, i) => {
    const unit = state.owner[column]!;
    if (unit < 0) return;
    const list = byUnit.get(unit);
    if (list) list.push(i); else byUnit.set(unit, [i]);
  });
  return byUnit;
}

/** Adds every unit's relative cost of removal in this consumer. */
function addScores(state: State, scores: Float64Array): void {
  const { inverse, weights, columns, outs, energy } = state, n = columns.length;
  for (const [unit, list] of columnsByUnit(state)) {
    const q = list.length, block = new Float64Array(q * q);
    for (let i = 0; i < q; i++) for (let j = 0; j <= i; j++) block[i * q + j] = inverse[list[i]! * n + list[j]!]!;
    let cost = 0;
    for (let i = 0; i < q; i++) { // small Cholesky, then forward substitution on every output
      for (let j = 0; j <= i; j++) {
        let sum = block[i * q + j]!;
        for (let k = 0; k < j; k++) sum -= block[i * q + k]! * block[j * q + k]!;
        block[i * q + j] = i === j ? Math.sqrt(Math.max(sum, 1e-300)) : sum / block[j * q + j]!;
      }
    }
    const z = new Float64Array(q);
    for (let o = 0; o < outs; o++) {
      for (let i = 0; i < q; i++) {
        let sum = weights[list[i]! * outs + o]!;
        for (let k = 0; k < i; k++) sum -= block[i * q + k]! * z[k]!;
        z[i] = sum / block[i * q + i]!;
        cost += z[i]! * z[i]!;
      }
    }
    scores[unit]! += cost / energy;
  }
}

/** Removes units' columns: Schur complement of the inverse, refit of the rest. @returns the relative rise of the squared error */
async function remove(state: State, units: ReadonlySet<number>): Promise<number> {
  const { inverse, weights, columns, outs } = state, n = columns.length;
  const gone: number[] = [], stay: number[] = [];
  columns.forEach((column, i) => (units.has(state.owner[column]!) ? gone : stay).push(i));
  const q = gone.length, s = stay.length;
  if (q === 0) return 0;
  const block = new Float64Array(q * q), cross = new Float64Array(q * s), removed = new Float64Array(q * outs);
  gone.forEach((row, i) => {
    gone.forEach((column, j) => { block[i * q + j] = inverse[row * n + column]!; });
    stay.forEach((column, j) => { cross[i * s + j] = inverse[row * n + column]!; });
    removed.set(weights.subarray(row * outs, (row + 1) * outs), i * outs);
  });
  const factor = await CholeskyFactor.of(block, q), scaledWeights = await factor.forward(removed, outs), scaledCross = await factor.forward(cross, s);
  let rise = 0;
  for (const value of scaledWeights) rise += value * value;
  const nextWeights = await transposedProduct(scaledCross, scaledWeights, q, s, outs), nextInverse = new Float64Array(s * s);
  await addGram(nextInverse, scaledCross, q, s);
  stay.forEach((row, i) => {
    for (let o = 0; o < outs; o++) nextWeights[i * outs + o] = weights[row * outs + o]! - nextWeights[i * outs + o]!;
    for (let j = 0; j <= i; j++) nextInverse[i * s + j] = inverse[row * n + stay[j]!]! - nextInverse[i * s + j]!;
  });
  mirror(nextInverse, s);
  state.weights = nextWeights;
  state.inverse = nextInverse;
  state.columns = Int32Array.from(stay, (i) => columns[i]!);
  return rise / state.energy;
}

