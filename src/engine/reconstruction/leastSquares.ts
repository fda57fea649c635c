import { addGram, mirror, product, transposedProduct } from '../runtime/matrix.ts';
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

/** One chunk of the regression: rows of inputs, the wanted z and, where a shortcut is added, what it adds. */
export interface RegressionChunk {
  /** float32 [rows, columns]; the last column is constant 1. */
  readonly inputs: Float32Array;
  /** float32 [rows, outs] */
  readonly target: Float32Array;
  /** float32 [rows, outs] */
  readonly residual?: Float32Array;
}

export interface RegressionOptions {
  /** Refits that know the activation: where wanted and predicted z are cut alike there is no error. */
  readonly rounds: number;
  /** Pull towards the present weights, as a fraction of the mean of the Gram matrix's diagonal; the constant column is free of it. */
  readonly ridge: number;
}

/** XᵀX of rows: float32 products, summed into float64 a chunk at a time. @returns float64 [columns, columns] */
export async function gramOf(chunks: readonly { readonly inputs: Float32Array }[], columns: number): Promise<Float64Array> {
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
export async function fitWeights(chunks: readonly RegressionChunk[], columns: number, outs: number, present: Float32Array, transform: OutputTransform, options: RegressionOptions): Promise<Float32Array> {
  const gram = await gramOf(chunks, columns), ridge = addRidge(gram, columns, options.ridge), factor = await CholeskyFactor.of(gram, columns);
  const fit = async (predicting?: Float32Array): Promise<Float32Array> => Float32Array.from(await factor.solve(await rightSide(chunks, columns, outs, present, ridge, transform, predicting), outs));
  let weights = await fit(), last = weights;
  if (transform.low === -Infinity && transform.high === Infinity) return weights;
  for (let round = 0; round < options.rounds; round++) {
    const ahead = weights.map((value, i) => value + momentum * (value - last[i]!));
    last = weights;
    weights = await fit(ahead);
  }
  return weights;
}

/**
 * Right side of the normal equations: input rows times wanted outputs, and the ridge's pull towards the present weights.
 * @param predicting float32 [columns, outs], the weights by whose predictions the activation is known; none in the first fit
 * @returns float64 [columns, outs]
 */
export async function rightSide(chunks: readonly RegressionChunk[], columns: number, outs: number, present: Float32Array, ridge: number, transform: OutputTransform, predicting?: Float32Array): Promise<Float64Array> {
  const right = new Float64Array(columns * outs);
  for (let i = 0; i < (columns - 1) * outs; i++) right[i] = ridge * present[i]!;
  for (const chunk of chunks) {
    const rows = chunk.inputs.length / columns;
    const predicted = predicting ? await product(chunk.inputs, predicting, rows, columns, outs) : undefined;
    const part = await transposedProduct(chunk.inputs, wantedOutputs(chunk, outs, transform, predicted), rows, columns, outs);
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

/** The y that would give the wanted z; where the cut hides the difference, the y that is predicted. */
export function wantedOutputs({ target, residual }: RegressionChunk, outs: number, { scale, shift, low, high }: OutputTransform, predicted?: Float32Array): Float32Array {
  const wanted = new Float32Array(target.length);
  for (let i = 0, c = 0; i < target.length; i++, c = c + 1 === outs ? 0 : c + 1) {
    const factor = scale[c]!, offset = shift[c]! + (residual ? residual[i]! : 0);
    let z = target[i]!;
    if (predicted) {
      const present = factor * predicted[i]! + offset;
      if (z <= low) z = Math.min(present, low);
      else if (z >= high) z = Math.max(present, high);
    }
    wanted[i] = (z - offset) / factor;
  }
  return wanted;
}
