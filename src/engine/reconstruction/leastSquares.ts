import { addGram, mirror, transposedProduct, transposedWithin } from '../runtime/matrix.ts';
import { CholeskyFactor } from './cholesky.ts';

/**
 * What happens to a layer's output y before the next non-linear step: z = scale * y + shift + residual, then z is cut to [low, high]
 * (Relu: [0, inf), Clip: [min, max]; no activation: both infinite). Per output channel.
 */
export interface OutputTransform {
  readonly scale: Float32Array;
  readonly shift: Float32Array;
  readonly low: number;
  readonly high: number;
}

/** One chunk of the regression: rows of inputs, the wanted z before the cut and, where a shortcut is added, what it adds. */
export interface RegressionChunk {
  /** float32 [rows, columns]; the last column is constant 1. */
  readonly inputs: Float32Array;
  /** float32 [rows, outs] */
  readonly target: Float32Array;
  /** float32 [rows, outs] */
  readonly residual?: Float32Array;
}

/** One chunk of the regression in terms of y, before the transform: rows of inputs, and the y that give the wanted z. */
export interface Aim {
  /** float32 [rows, columns]; the last column is constant 1. */
  readonly inputs: Float32Array;
  /** float32 [rows, outs]: gives the wanted z as it is before the cut. */
  readonly uncut: Float32Array;
  /** float32 [rows, outs] each: any y between them gives the wanted z as it is after the cut; infinite on the side that is cut off. Absent where nothing is cut. */
  readonly bounds?: { readonly low: Float32Array; readonly high: Float32Array };
}

export interface RegressionOptions {
  /** Refits that know the activation: where wanted and predicted z are cut alike there is no error. */
  readonly rounds: number;
  /** Pull towards the present weights, as a fraction of the mean of the Gram matrix's diagonal; the constant column is free of it. */
  readonly ridge: number;
}

/** XᵀX of rows: float32 products, summed into float64 a chunk at a time. @returns float64 [columns, columns] */
export async function gramOf(chunks: readonly Pick<Aim, 'inputs'>[], columns: number): Promise<Float64Array> {
  const gram = new Float64Array(columns * columns);
  for (const { inputs } of chunks) await addGram(gram, inputs, inputs.length / columns, columns);
  mirror(gram, columns);
  return gram;
}

/** How far beyond the last weights an activation-aware round predicts, in steps (docs/decisions/reconstruction.md). */
const momentum = 0.75;

/**
 * Weights [columns, outs] that make a layer's z nearest to the wanted one in the least-squares sense, by the normal equations: the Gram
 * matrix is summed from float32 products into float64 and factored once; each activation-aware round costs two products and one solve.
 * A round is a step down a convex function (an entry's error is convex in y, whether the cut hides it or not), taken with Nesterov's momentum (1983).
 * He, Zhang, Sun 2017 (arXiv 1707.06168), section 3.1; the non-linear rounds follow Zhang et al. 2015 (arXiv 1505.06798), section 3.2.
 * @param present float32 [columns, outs], the weights before
 */
export async function fitWeights(aims: readonly Aim[], columns: number, outs: number, present: Float32Array, options: RegressionOptions): Promise<Float32Array> {
  const gram = await gramOf(aims, columns), ridge = addRidge(gram, columns, options.ridge), factor = await CholeskyFactor.of(gram, columns);
  const fit = async (predicting?: Float32Array): Promise<Float32Array> => Float32Array.from(await factor.solve(await rightSide(aims, columns, outs, present, ridge, predicting), outs));
  let weights = await fit(), last = weights;
  for (let round = 0; round < options.rounds && isCut(aims); round++) {
    const ahead = weights.map((value, i) => value + momentum * (value - last[i]!));
    last = weights;
    weights = await fit(ahead);
  }
  return weights;
}

/** Whether anything is cut: otherwise the first fit is the last. */
export const isCut = (aims: readonly Aim[]): boolean => aims.some(({ bounds }) => bounds !== undefined);

/** A chunk's aim. */
export function aimed({ inputs, target, residual }: RegressionChunk, outs: number, { scale, shift, low, high }: OutputTransform): Aim {
  const uncut = new Float32Array(target.length);
  for (let i = 0, c = 0; i < target.length; i++, c = c + 1 === outs ? 0 : c + 1) uncut[i] = (target[i]! - shift[c]! - (residual ? residual[i]! : 0)) / scale[c]!;
  if (low === -Infinity && high === Infinity) return { inputs, uncut };
  const bounds = { low: uncut.slice(), high: uncut.slice() };
  for (let i = 0, c = 0; i < target.length; i++, c = c + 1 === outs ? 0 : c + 1) {
    const z = target[i]!, factor = scale[c]!;
    if (z > low && z < high) continue;
    const edge = uncut[i]! + ((z <= low ? low : high) - z) / factor, falls = z <= low === factor > 0;
    bounds.low[i] = falls ? -Infinity : edge;
    bounds.high[i] = falls ? edge : Infinity;
  }
  return { inputs, uncut, bounds };
}

/**
 * Right side of the normal equations: input rows times wanted outputs, and the ridge's pull towards the present weights.
 * @param predicting float32 [columns, outs], the weights by whose predictions the activation is known; none in the first fit
 * @returns float64 [columns, outs]
 */
export async function rightSide(aims: readonly Aim[], columns: number, outs: number, present: Float32Array, ridge: number, predicting?: Float32Array): Promise<Float64Array> {
  const right = new Float64Array(columns * outs);
  for (let i = 0; i < (columns - 1) * outs; i++) right[i] = ridge * present[i]!;
  for (const { inputs, uncut, bounds } of aims) {
    const rows = inputs.length / columns, part = await (predicting && bounds ? transposedWithin(inputs, predicting, bounds, rows, columns, outs) : transposedProduct(inputs, uncut, rows, columns, outs));
    for (let i = 0; i < right.length; i++) right[i]! += part[i]!;
  }
  return right;
}

/** Adds a ridge, relative to the mean of the diagonal; the constant column, the last one, is free of it. @returns what was added */
export function addRidge(gram: Float64Array, columns: number, relative: number): number {
  let trace = 0;
  for (let i = 0; i < columns - 1; i++) trace += gram[i * (columns + 1)]!;
  const ridge = (relative * trace) / Math.max(1, columns - 1) + 1e-12;
  for (let i = 0; i < columns - 1; i++) gram[i * (columns + 1)]! += ridge;
  gram[columns * columns - 1]! += 1e-9;
  return ridge;
}
