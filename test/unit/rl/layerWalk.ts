import { Random } from '../../../src/engine/numerics/random.ts';
import type { Step } from '../../../src/engine/rl/ddpg.ts';

/**
 * A walk over layers under a budget, like the real search but with a known optimum: keeping a share a of a layer of cost c and
 * sensitivity s loses s * (1 - a)^2; at most half of the whole cost may be kept.
 */
export interface Walk {
  readonly costs: readonly number[];
  readonly sensitivities: readonly number[];
  readonly budget: number;
  /** The best reward there is. */
  readonly optimum: number;
  readonly observationSize: number;
}

const lowest = 0.2;

export function makeWalk(layers: number, seed: number): Walk {
  const random = new Random(seed);
  const raw = Array.from({ length: layers }, () => random.uniform(0.2, 1)), total = raw.reduce((a, b) => a + b);
  const costs = raw.map((cost) => cost / total), sensitivities = costs.map(() => 10 ** random.uniform(-1.5, 0.3) / layers);
  // the Lagrange condition 2 s (1 - a) = lambda c gives a for each price lambda; bisection finds the price that uses the budget
  const kept = (price: number): number[] => costs.map((cost, i) => Math.min(1, Math.max(lowest, 1 - price * cost / (2 * sensitivities[i]!))));
  let low = 0, high = 1e3;
  for (let i = 0; i < 200; i++) {
    const price = (low + high) / 2;
    if (kept(price).reduce((sum, a, l) => sum + a * costs[l]!, 0) > 0.5) low = price; else high = price;
  }
  const walk = { costs, sensitivities, budget: 0.5, optimum: 0, observationSize: 6 };
  return { ...walk, optimum: rewardOf(walk, kept(high)) };
}

const rewardOf = ({ sensitivities }: Walk, kept: readonly number[]): number => 1 - kept.reduce((sum, a, i) => sum + sensitivities[i]! * (1 - a) ** 2, 0);

type Policy = (observation: Float32Array, low: number, high: number) => number | Promise<number>;

/** Walks once; every action is bounded so that the later layers can still meet the budget at their lowest. */
export async function walkWith(walk: Walk, policy: Policy): Promise<{ steps: Step[]; reward: number }> {
  const { costs, sensitivities, budget } = walk, steps: Step[] = [];
  let used = 0, rest = 1;
  for (const [layer, cost] of costs.entries()) {
    rest -= cost;
    const observation = Float32Array.of(layer / (costs.length - 1), cost * 2, Math.sqrt(sensitivities[layer]!), used, rest, steps.at(-1)?.action ?? 1);
    const high = Math.max(lowest, Math.min(1, (budget - used - rest * lowest) / cost));
    const action = await policy(observation, lowest, high);
    used += action * cost;
    steps.push({ observation, action });
  }
  return { steps, reward: rewardOf(walk, steps.map(({ action }) => action)) };
}

export const randomWalk = (random: Random): Policy => (_observation, low, high) => random.uniform(low, high);
