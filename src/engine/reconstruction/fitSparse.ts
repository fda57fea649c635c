import { type Aim, type RegressionOptions, addRidge, gramOf, isCut, rightSide } from './leastSquares.ts';
import { type SparseProblem, solveMasked, sparseEffort, stagesTo, thinOut } from './sparseWeights.ts';

/** A layer's problem as its activation cuts with given predictions, or not at all. @param predicting float32 [columns, outs], the weights that predict */
export async function sparseProblems(aims: readonly Aim[], columns: number, outs: number, present: Float32Array, relativeRidge: number): Promise<(predicting?: Float32Array) => Promise<SparseProblem>> {
  const sum = await gramOf(aims, columns), ridge = addRidge(sum, columns, relativeRidge), gram = Float32Array.from(sum);
  return async (predicting) => ({ gram, right: Float32Array.from(await rightSide(aims, columns, outs, present, ridge, predicting)), columns, outs });
}

/**
 * Weights [columns, outs] of which only a share is not zero, that make a layer's output nearest to the wanted one in the least-squares sense; the activation
 * behind the layer is known in the rounds, as in fitWeights, but without momentum (docs/decisions/reconstruction.md). Which weights stay is found on the way.
 * @param present float32 [columns, outs], the weights before @param density share of the weights that stay; the bias always does
 */
export async function fitSparse(aims: readonly Aim[], columns: number, outs: number, present: Float32Array, { rounds, ridge: relativeRidge, density }: RegressionOptions & { density: number }): Promise<Float32Array> {
  const rows = aims.reduce((sum, { inputs }) => sum + inputs.length / columns, 0), { stages, steps, roundSteps, mostRounds } = sparseEffort(columns, rows);
  const problem = await sparseProblems(aims, columns, outs, present, relativeRidge), linear = await problem();
  let mask: Uint8Array = new Uint8Array(columns * outs).fill(1);
  let weights = await solveMasked(linear, mask, present, steps);
  for await (const stage of thinOut(linear, weights, stagesTo(density, stages), steps)) ({ mask, weights } = stage);
  if (!isCut(aims)) return solveMasked(linear, mask, weights, steps);
  for (let round = 0; round < Math.min(rounds, mostRounds); round++) weights = await solveMasked(await problem(weights), mask, weights, roundSteps);
  return weights;
}
