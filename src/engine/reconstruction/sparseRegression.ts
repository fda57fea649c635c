import { sparseProblems } from './fitSparse.ts';
import { type Aim, type RegressionOptions, isCut } from './leastSquares.ts';
import { isWide, solveMasked, sparseEffort, thinOut } from './sparseWeights.ts';

/** A least-squares problem of one layer that is solved for many shares of its weights. */
export interface SparseRegression {
  /** @returns float32 [columns, outs] of which only a share is not zero, the bias aside */
  solve(density: number): Promise<Float32Array>;
}

/** Weights of which most are zero: those that are not, and where they are. */
interface Packed { readonly density: number; readonly positions: Uint32Array; readonly values: Float32Array }

/** Densities at which the weights are kept, so that any other is one stage away; of wide layers, which take more time and memory, every second. */
const landmarks = [0.8, 0.64, 0.51, 0.41, 0.33, 0.26, 0.21, 0.17, 0.13, 0.1, 0.07, 0.05, 0.03, 0.02, 0.01];

/**
 * Thins a layer out once, from the whole to the least, keeping the refitted weights on the way: other shares begin at the next denser ones, at the cost of one stage. The activation behind
 * the layer is taken to cut as it does with the share that the layer begins with.
 * @param present float32 [columns, outs], the weights before @param density share of the weights at which the activation is looked at
 */
export async function sparseRegression(aims: readonly Aim[], columns: number, outs: number, present: Float32Array, { rounds, ridge: relativeRidge, density }: RegressionOptions & { density: number }): Promise<SparseRegression> {
  const aimed = await sparseProblems(aims, columns, outs, present, relativeRidge), { steps } = sparseEffort(columns);
  let problem = await aimed();
  const whole = await solveMasked(problem, new Uint8Array(columns * outs).fill(1), present, steps), known: Packed[] = [];
  for await (const stage of thinOut(problem, whole, landmarks.filter((_, i) => !isWide(columns) || i % 2 === 1), steps)) known.push(packed(stage.density, stage.weights));
  const solve = async (share: number): Promise<Float32Array> => {
    const near = known.findLast((each) => each.density >= share), start = near ? unpacked(near, columns * outs) : whole;
    for await (const { weights } of thinOut(problem, start, [share], steps)) return weights;
    return start;
  };
  for (let round = 0; round < rounds && isCut(aims); round++) problem = await aimed(await solve(density));
  return { solve };
}

function packed(density: number, weights: Float32Array): Packed {
  const positions = Uint32Array.from(weights.keys()).filter((i) => weights[i] !== 0);
  return { density, positions, values: Float32Array.from(positions, (i) => weights[i]!) };
}

function unpacked({ positions, values }: Packed, size: number): Float32Array {
  const weights = new Float32Array(size);
  positions.forEach((position, i) => { weights[position] = values[i]!; });
  return weights;
}
