import type { GraphBuilder, Operand } from '../onnx/graphBuilder.ts';

/** Names of the values before the step; after it, of the new ones. */
export interface AdamState { readonly parameters: string; readonly mean: string; readonly square: string }

/** Kingma and Ba 2015, the paper's defaults. */
export const adamDefaults = { beta1: 0.9, beta2: 0.999, epsilon: 1e-8 };

/**
 * The two numbers of step t >= 1 that correct Adam's bias, so that the graph needs no powers:
 * p - learningRate * (m/c1) / (sqrt(v/c2) + epsilon) = p - rate * m / (sqrt(v) + shiftedEpsilon).
 */
export function adamStep(t: number, learningRate: number, { beta1, beta2, epsilon } = adamDefaults): { rate: number; shiftedEpsilon: number } {
  const c1 = 1 - beta1 ** t, c2 = Math.sqrt(1 - beta2 ** t);
  return { rate: learningRate * c2 / c1, shiftedEpsilon: epsilon * c2 };
}

/** Appends an Adam step. @param rate and shiftedEpsilon values of rank 0 or 1, see `adamStep` */
export function appendAdam(build: GraphBuilder, state: AdamState, gradient: string, rate: Operand, shiftedEpsilon: Operand, { beta1, beta2 } = adamDefaults): AdamState {
  const mean = build.add(build.mul(state.mean, beta1), build.mul(gradient, 1 - beta1));
  const square = build.add(build.mul(state.square, beta2), build.mul(build.mul(gradient, gradient), 1 - beta2));
  const step = build.div(build.mul(mean, rate), build.add(build.sqrt(square), shiftedEpsilon));
  return { parameters: build.sub(state.parameters, step), mean, square };
}
