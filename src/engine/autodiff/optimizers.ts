import type { GraphBuilder, Operand } from '../onnx/graphBuilder.ts';

/** Names of the values before the step; after it, of the new ones. */
export interface AdamState { readonly parameters: string; readonly mean: string; readonly square: string }

/** Kingma and Ba 2015, the paper's defaults. */
export const adamDefaults = { beta1: 0.9, beta2: 0.999, epsilon: 1e-8 };

/**
 * The two numbers of step t >= 1 that correct Adam's bias, so that the graph needs no powers:
 * p - learningRate * (m/c1) / (sqrt(v/c2) + epsilon) = p - rate * m / (sqrt(v) + shiftedEpsilon).
 */
export function adamStep(t: number, learningRate: number): { rate: number; shiftedEpsilon: number } {
  const { beta1, beta2, epsilon } = adamDefaults;
  const c1 = 1 - beta1 ** t, c2 = Math.sqrt(1 - beta2 ** t);
  return { rate: learningRate * c2 / c1, shiftedEpsilon: epsilon * c2 };
}

/**
 * Appends an Adam step.
 * @param rate and shiftedEpsilon values of rank 0 or 1, see `adamStep`
 * @param decay share of each parameter to take off as well (AdamW: Loshchilov and Hutter 2019), already times the learning rate
 * @param toParameters what a step of the parameters is, where gradient, mean and square are by other coordinates
 */
export function appendAdam(build: GraphBuilder, state: AdamState, gradient: string, rate: Operand, shiftedEpsilon: Operand, decay?: string, toParameters = (step: string): string => step): AdamState {
  const { beta1, beta2 } = adamDefaults;
  const mean = build.add(build.mul(state.mean, beta1), build.mul(gradient, 1 - beta1));
  const square = build.add(build.mul(state.square, beta2), build.mul(build.mul(gradient, gradient), 1 - beta2));
  const step = build.div(build.mul(mean, rate), build.add(build.sqrt(square), shiftedEpsilon));
  const kept = decay === undefined ? state.parameters : build.sub(state.parameters, build.mul(decay, state.parameters));
  return { parameters: build.sub(kept, toParameters(step)), mean, square };
}

export interface MomentumState { readonly parameters: string; readonly velocity: string }

/** Appends a step of gradient descent with Nesterov's momentum (Sutskever et al. 2013, in PyTorch's form). @param toParameters @see appendAdam */
export function appendNesterov(build: GraphBuilder, state: MomentumState, gradient: string, rate: Operand, momentum: number, toParameters = (step: string): string => step): MomentumState {
  const velocity = build.add(build.mul(state.velocity, momentum), gradient);
  const step = build.mul(build.add(gradient, build.mul(velocity, momentum)), rate);
  return { parameters: build.sub(state.parameters, toParameters(step)), velocity };
}
