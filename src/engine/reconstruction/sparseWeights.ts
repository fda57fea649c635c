import { type GraphProto, type ModelProto, TensorProto_DataType as DataType } from 'onnx-buf';
import { GraphBuilder } from '../onnx/graphBuilder.ts';
import { arithmetic } from '../runtime/matrix.ts';
import { floats } from '../runtime/session.ts';

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

/** In how many stages weights go, and steps of conjugate gradients after each of them, and in each round that knows the activation, of which there are so many at most. */
export interface SparseEffort { readonly stages: number; readonly steps: number; readonly roundSteps: number; readonly mostRounds: number }
/**
 * Rows a column from which the steps cost little beside the passes over the rows, so that there can be many, and from which many rounds gain anything
 * (docs/decisions/reconstruction.md).
 */
const manyRows = 100;
/** @param rows of the regression; none where there is no pass over them */
export function sparseEffort(columns: number, rows = 0): SparseEffort {
  if (isWide(columns)) return { stages: 3, steps: 8, roundSteps: 8, mostRounds: 4 };
  return rows >= manyRows * columns ? { stages: 24, steps: 12, roundSteps: 24, mostRounds: Infinity } : { stages: 6, steps: 12, roundSteps: 12, mostRounds: 4 };
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
      let ties = keep - saliency.reduce((above, value) => above + Number(value > threshold), 0); // weights that are zero, say: of these the first
      for (let i = 0; i < count; i++) mask[i] = Number(saliency[i]! > threshold || (saliency[i] === threshold && mask[i] === 1 && ties-- > 0));
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
  const session = await arithmetic(`conjugate gradients ${steps}`, () => conjugateGradients(steps)), dims = [columns, outs] as const;
  const scale = Float32Array.from({ length: columns }, (_, i) => 1 / Math.max(1e-20, gram[i * (columns + 1)]!));
  const { weights } = await session.run({ gram: floats(gram, [columns, columns]), right: floats(right, dims), mask: { type: 'uint8', dims, data: mask }, start: floats(start, dims), scale: floats(scale, [columns, 1]) });
  return weights!.data as Float32Array;
}

/** So many steps as one graph: a step's dozen passes over the weights take more time than its product when they are made one by one in JavaScript. */
function conjugateGradients(steps: number): ModelProto & { graph: GraphProto } {
  const build = new GraphBuilder(), dims = ['columns', 'outs'], gram = build.input('gram', ['columns', 'columns']), right = build.input('right', dims), scale = build.input('scale', ['columns', 1]);
  const mask = build.op('Cast', [build.input('mask', dims, DataType.UINT8)], { to: DataType.FLOAT }), times = (value: string): string => build.op('MatMul', [gram, value]), dot = (a: string, b: string): string => build.sum(build.mul(a, b), [0], true);
  const quotient = (a: string, b: string, where: string): string => build.op('Where', [where, build.div(a, b), 0]), positive = (value: string): string => build.op('Greater', [value, 0]);
  let weights = build.mul(build.input('start', dims), mask), residual = build.mul(build.sub(right, times(weights)), mask), direction = build.mul(residual, scale), size = dot(residual, direction);
  const least = build.mul(size, 1e-9);
  for (let step = 0; step < steps; step++) {
    const image = times(direction), curvature = dot(direction, image), length = quotient(size, curvature, build.op('And', [build.op('Greater', [size, least]), positive(curvature)]));
    weights = build.add(weights, build.mul(direction, length));
    residual = build.mul(build.sub(residual, build.mul(image, length)), mask);
    const scaled = build.mul(residual, scale), next = dot(residual, scaled);
    direction = build.add(scaled, build.mul(direction, quotient(next, size, positive(size))));
    size = next;
  }
  build.output(weights, 'weights', dims);
  return build.model();
}

/** Densities from the whole to `density`, each the same factor below the one before. */
export const stagesTo = (density: number, stages: number): number[] => Array.from({ length: stages }, (_, i) => density ** ((i + 1) / stages));
