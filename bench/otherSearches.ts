import { Random } from '../src/engine/numerics/random.ts';
import { fillBudget } from '../src/engine/rl/allocation.ts';
import { scaleToBudget } from '../src/engine/rl/policies.ts';
import type { Episode, SearchOptions } from '../src/engine/rl/search.ts';
import type { Counts, SearchSpace } from '../src/engine/rl/searchSpace.ts';

/** Searches without an agent, for comparison at equal evaluations. All of them spend the whole budget. */

const ratiosNear = (space: SearchSpace, ratios: readonly number[], random: Random, share: number, sigma: number): number[] =>
  ratios.map((ratio, i) => (random.uniform() < share ? random.truncatedNormal(ratio, sigma, space.least[i]! / space.groups[i]!.group.channels, 1) : ratio));

const toCounts = (space: SearchSpace, ratios: readonly number[], budget: number): Counts => fillBudget(space, scaleToBudget(space, ratios, budget)!, budget, 1);
const randomRatios = (space: SearchSpace, random: Random): number[] => space.groups.map(({ group }, i) => random.uniform(space.least[i]! / group.channels, 1));

/** Regularised evolution (Real et al., arXiv 1802.01548): tournaments in a population that loses its oldest member. */
export async function* evolution(space: SearchSpace, options: SearchOptions, population = 20, tournament = 5): AsyncGenerator<Episode> {
  const random = new Random(options.seed ^ 0xe501), alive: { ratios: number[]; reward: number }[] = [];
  let bestReward = -1;
  for (let episode = 1; episode <= options.episodes; episode++) {
    options.signal?.throwIfAborted();
    const drawn = Array.from({ length: tournament }, () => alive[random.integer(Math.max(1, alive.length))]);
    const parent = drawn.reduce((best, each) => (each && (!best || each.reward > best.reward) ? each : best), undefined);
    const shape = alive.length < population || !parent ? randomRatios(space, random) : ratiosNear(space, parent.ratios, random, 0.3, 0.15);
    const counts = toCounts(space, shape, options.budget), score = await options.evaluate(counts, episode), best = score.reward > bestReward;
    if (best) bestReward = score.reward;
    alive.push({ ratios: space.ratiosOf(counts), reward: score.reward });
    if (alive.length > population) alive.shift();
    yield { episode, counts, score, best };
  }
}

/** Simulated annealing (Kirkpatrick et al. 1983) with a temperature that falls geometrically from 0.05 to 0.001 of reward. */
export async function* annealing(space: SearchSpace, options: SearchOptions): AsyncGenerator<Episode> {
  const random = new Random(options.seed ^ 0xa22ea1);
  let at: { ratios: number[]; reward: number } | undefined, bestReward = -1;
  for (let episode = 1; episode <= options.episodes; episode++) {
    options.signal?.throwIfAborted();
    const progress = (episode - 1) / Math.max(1, options.episodes - 1), temperature = 0.05 * 0.02 ** progress;
    const counts = toCounts(space, at ? ratiosNear(space, at.ratios, random, 0.3, 0.25 * 0.2 ** progress) : randomRatios(space, random), options.budget);
    const score = await options.evaluate(counts, episode), best = score.reward > bestReward;
    if (best) bestReward = score.reward;
    if (!at || score.reward > at.reward || random.uniform() < Math.exp((score.reward - at.reward) / temperature)) at = { ratios: space.ratiosOf(counts), reward: score.reward };
    yield { episode, counts, score, best };
  }
}
