import { product } from '../runtime/matrix.ts';

/**
 * A least-squares problem for the weights of one layer: minimise tr(Wᵀ G W) - 2 tr(Wᵀ R) over W [columns, outs], some of whose entries must be zero.
 */
export interface SparseProblem {
  /** float32 [columns, columns]: Gram matrix of the layer's input rows, ridge included, the constant column last. */
  readonly gram: Float32Array;
  /** float32 [columns, outs]: input rows times wanted outputs, and the ridge's pull. */
  readonly right: Float32Array;
  readonly columns: number;
  readonly outs: number;
}

/** Whether a layer has so many columns that its products take most of the time and memory. */
export const isWide = (columns: number): boolean => columns > 2000;

/** In how many stages weights go, and steps of conjugate gradients after each of them, and in each round that knows the activation. */
export interface SparseEffort { readonly stages: number; readonly steps: number; readonly roundSteps: number }
/** Rows a column from which the steps cost little beside the passes over the rows, so that there can be many (docs/decisions/reconstruction.md). */
const manyRows = 100;
/** @param rows of the regression; none where there is no pass over them */
export function sparseEffort(columns: number, rows = 0): SparseEffort {
  if (isWide(columns)) return { stages: 3, steps: 8, roundSteps: 8 };
  return rows >= manyRows * columns ? { stages: 24, steps: 12, roundSteps: 24 } : { stages: 6, steps: 12, roundSteps: 12 };
}

/**
 * Takes weights of a layer away in stages, and refits what remains after each (optimal brain surgeon's update by conjugate gradients on all outputs at once).
 * A weight's saliency is the rise of the squared error when it goes and nothing else changes, w^2 G_ii; because the rest is refitted between stages, correlated
 * inputs take over from each other. The last column, the bias, always stays.
 * @param weights float32 [columns, outs], not changed @param densities shares of the weights that stay, falling
 * @returns the mask and the weights at each density
 */
export async function* thinOut(problem: SparseProblem, weights: Float32Array, densities: readonly number[], steps: number): AsyncGenerator<{ density: number; mask: Uint8Array; weights: Float32Array }> {
  const { gram, columns, outs } = problem, count = (columns - 1) * outs;
  let now = weights;
  const mask = new Uint8Array(columns * outs).fill(1);
  for (const density of densities) {
    const keep = Math.max(1, Math.round(density * count));
    const saliency = new Float32Array(count);
    for (let i = 0; i < count; i++) saliency[i] = mask[i] ? now[i]! * now[i]! * gram[Math.floor(i / outs) * (columns + 1)]! : -1;
    if (keep < count) {
      const threshold = saliency.slice().sort()[count - keep]!;
      let left = keep;
      for (let i = 0; i < count; i++) { const stays = left > 0 && saliency[i]! >= threshold && mask[i] === 1; mask[i] = Number(stays); left -= Number(stays); }
    }
    now = await solveMasked(problem, mask, now, steps);
    yield { density, mask: mask.slice(), weights: now };
  }
}

/**
 * Conjugate gradients with a diagonal preconditioner for every output at once, within the weights that the mask leaves.
 * @param start float32 [columns, outs]; entries outside the mask are taken as zero @returns float32 [columns, outs]
 */
export async function solveMasked({ gram, right, columns, outs }: SparseProblem, mask: Uint8Array, start: Float32Array, steps: number): Promise<Float32Array> {
  const size = columns * outs, weights = start.map((value, i) => (mask[i] ? value : 0));
  const applied = await product(gram, weights, columns, columns, outs);
  const residual = new Float32Array(size), direction = new Float32Array(size);
  const scale = Float32Array.from({ length: columns }, (_, i) => 1 / Math.max(1e-20, gram[i * (columns + 1)]!));
  let dots = new Float64Array(outs);
  for (let i = 0, c = 0, at = 0; i < columns; i++) {
    for (c = 0; c < outs; c++, at++) {
      const r = mask[at] ? right[at]! - applied[at]! : 0;
      residual[at] = r;
      direction[at] = r * scale[i]!;
      dots[c]! += r * direction[at]!;
    }
  }
  const first = dots.slice();
  for (let step = 0; step < steps; step++) {
    const image = await product(gram, direction, columns, columns, outs), curvature = new Float64Array(outs);
    for (let at = 0, c = 0; at < size; at++, c = c + 1 === outs ? 0 : c + 1) curvature[c]! += direction[at]! * image[at]!;
    const lengths = dots.map((dot, c) => (dot > 1e-9 * first[c]! && curvature[c]! > 0 ? dot / curvature[c]! : 0)), next = new Float64Array(outs);
    if (lengths.every((length) => length === 0)) break;
    for (let i = 0, at = 0; i < columns; i++) {
      for (let c = 0; c < outs; c++, at++) {
        if (!mask[at]) continue;
        weights[at]! += lengths[c]! * direction[at]!;
        const r = residual[at]! - lengths[c]! * image[at]!;
        residual[at] = r;
        next[c]! += r * r * scale[i]!;
      }
    }
    for (let i = 0, at = 0; i < columns; i++) for (let c = 0; c < outs; c++, at++) if (mask[at]) direction[at] = residual[at]! * scale[i]! + (dots[c]! > 0 ? next[c]! / dots[c]! : 0) * direction[at]!;
    dots = next;
  }
  return weights;
}

/** Densities from the whole to `density`, each the same factor below the one before. */
export const stagesTo = (density: number, stages: number): number[] => Array.from({ length: stages }, (_, i) => density ** ((i + 1) / stages));
