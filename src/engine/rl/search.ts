import { Random } from '../numerics/random.ts';
import { withinBudget } from './allocation.ts';
import type { Score } from './candidateJudge.ts';
import { DdpgAgent, type Step } from './ddpg.ts';
import { type GroupFeatures, LayerWalk, observationSize } from './environment.ts';
import type { Counts, SearchSpace } from './searchSpace.ts';

/** A choice that was evaluated in an episode. */
export interface Episode { readonly episode: number; readonly counts: Counts; readonly score: Score; readonly best: boolean }

export interface SearchOptions {
  readonly budget: number;
  /** Where the search finds the budget as well: that of the next episode, near the cost of the best choice so far. @param position uniformly random in [0, 1) */
  readonly budgetNear?: (best: Counts, position: number) => number;
  readonly episodes: number;
  readonly seed: number;
  /** Judges a choice. */
  readonly evaluate: (counts: Counts, episode: number) => Promise<Score>;
  readonly signal?: AbortSignal;
}

/** Exponents of error by which allocations are made; each gives one of the warm start's first guesses. */
export const allocationExponents = [0.75, 1, 1.5] as const;

/**
 * The cold-start agent of AMC (arXiv 1802.03494): every episode walks the groups, one bounded preserve ratio a step, and is rewarded with
 * the score of the network it chose.
 */
export async function* paperSearch(space: SearchSpace, features: readonly GroupFeatures[], options: SearchOptions): AsyncGenerator<Episode> {
  const walk = new LayerWalk(space, features, options.budget), { narrowest } = space;
  const agent = await DdpgAgent.create({ observationSize, seed: options.seed });
  try {
    let bestReward = -Infinity;
    for (let episode = 1; episode <= options.episodes; episode++) {
      options.signal?.throwIfAborted();
      walk.reset();
      const steps: Step[] = [];
      for (let t = 0; t < walk.steps; t++) {
        const observation = walk.observe();
        const low = narrowest[t]! / space.groups[t]!.group.channels;
        const action = await agent.act(observation, { explore: true, low, high: Math.max(low, walk.upperBound()) });
        steps.push({ observation, action });
        walk.step(action);
      }
      const score = await options.evaluate(walk.choice, episode);
      await agent.endEpisode(steps, score.reward);
      const best = score.reward > bestReward;
      if (best) bestReward = score.reward;
      yield { episode, counts: walk.choice, score, best };
    }
  } finally {
    await agent.release();
  }
}

/**
 * The warm-started agent. It differs from the paper's in four ways (docs/decisions/warm-start.md): its first episodes are the given allocations;
 * an action is a position between the least width, the width of the best first guess (0.5) and the full width of a group, so that an untrained actor reproduces
 * that guess; every second episode it explores around the best episode so far instead of around its own policy (DDPG
 * learns from both, being off-policy); and a walk's ratios are scaled to the budget at its end, so that nothing of it is left unused.
 */
export async function* warmSearch(space: SearchSpace, features: readonly GroupFeatures[], firstGuesses: readonly Counts[], options: SearchOptions): AsyncGenerator<Episode> {
  const { budget, seed } = options, walk = new LayerWalk(space, features, budget), random = new Random(seed ^ 0x5eed);
  const agent = await DdpgAgent.create({ observationSize, seed, options: { noiseSigma: 0.12, explorationEpisodes: 8, noiseDecay: 0.99, updatesPerStep: 0.125, initialAction: 0.5 } });
  const tried = new Set<string>();
  let guess: readonly number[] = [], elite: readonly number[] = [], bestCounts: Counts = [], bestReward = -Infinity;
  /** What the agent learns from an episode, while the next one that does not ask it goes on. */
  let learning: Promise<unknown> = Promise.resolve();
  /** One episode: walks with the given actions, evaluates, and lets the agent learn. */
  const finish = async (episode: number, steps: readonly Step[], counts: Counts): Promise<Episode> => {
    const score = await options.evaluate(counts, episode), best = score.reward > bestReward;
    tried.add(counts.join());
    if (best) { bestReward = score.reward; bestCounts = counts; elite = steps.length > 0 ? steps.map(({ action }) => action) : elite; }
    if (steps.length > 0) { await learning; learning = agent.endEpisode(steps, score.reward); learning.catch(() => undefined); } // a failure is met where it is awaited
    return { episode, counts, score, best };
  };
  try {
    let episode = 0;
    for (const counts of firstGuesses) {
      if (episode >= options.episodes) return;
      options.signal?.throwIfAborted();
      const result = await finish(++episode, [], counts);
      if (result.best) guess = space.ratiosOf(counts);
      yield result;
    }
    elite = guess.map(() => 0.5);
    const ratio = (t: number, action: number): number => (action === 0 && space.least[t] === 0 ? 0 : ratioOf(action, guess[t] === 0 ? 0 : space.narrowest[t]! / space.groups[t]!.group.channels, guess[t]!));
    while (episode < options.episodes) {
      options.signal?.throwIfAborted();
      const aroundElite = episode % 2 === 0, sigma = eliteSigma(episode / options.episodes);
      const share = Math.max(0.3, 2 / walk.steps);
      const within = options.budgetNear?.(bestCounts, random.uniform()) ?? budget;
      walk.reset(within);
      if (!aroundElite) await learning;
      const steps: Step[] = [], swapped = aroundElite ? swap(space, bestCounts, random) : new Map<number, number>();
      for (let t = 0; t < walk.steps; t++) {
        const observation = walk.observe();
        const action = swapped.get(t) ?? (aroundElite
          ? (random.uniform() < share ? random.truncatedNormal(elite[t]!, sigma, 0, 1) : elite[t]!)
          : await agent.act(observation, { explore: true }));
        steps.push({ observation, action });
        walk.step(ratio(t, action));
      }
      const counts = withinBudget(space, steps.map(({ action }, t) => ratio(t, action)), within)!;
      if (tried.has(counts.join()) && random.uniform() < 0.9) continue; // nothing new to learn from it
      yield await finish(++episode, steps, counts);
    }
  } finally {
    await learning.catch(() => undefined);
    await agent.release();
  }
}

/** How far from the best episode to look: less and less. */
const eliteSigma = (progress: number): number => 0.15 * 0.2 ** progress;

/** Actions that, in half of the cases, let a group that can go as a whole do so, bring one back that is gone, or both. */
function swap(space: SearchSpace, counts: Counts, random: Random): Map<number, number> {
  const pick = (from: readonly number[], action: number): [number, number][] => (from.length === 0 ? [] : [[from[Math.floor(random.uniform() * from.length)]!, action]]);
  const removable = [...counts.keys()].filter((t) => space.least[t] === 0), kind = removable.length === 0 ? 1 : random.uniform();
  const gone = kind < 0.4 ? pick(removable.filter((t) => counts[t] !== 0), 0) : [], back = kind > 0.1 && kind < 0.5 ? pick(removable.filter((t) => counts[t] === 0), 1) : [];
  return new Map([...gone, ...back]);
}

/** Preserve ratio of an action: 0 is the narrowest (nothing where a group that the guess does without may go), 0.5 the guess's, 1 the whole width. */
const ratioOf = (action: number, least: number, guess: number): number => (action <= 0.5 ? least + (guess - least) * action * 2 : guess + (1 - guess) * (action - 0.5) * 2);

/** Random search: walks with uniformly random bounded actions, scaled to the budget like the agent's. */
export async function* randomSearch(space: SearchSpace, options: SearchOptions): AsyncGenerator<Episode> {
  const random = new Random(options.seed ^ 0x7a11d0);
  let bestReward = -Infinity;
  for (let episode = 1; episode <= options.episodes; episode++) {
    options.signal?.throwIfAborted();
    const shape = space.groups.map(({ group }, i) => random.uniform(space.narrowest[i]! / group.channels, 1));
    const counts = withinBudget(space, shape, options.budget)!;
    const score = await options.evaluate(counts, episode), best = score.reward > bestReward;
    if (best) bestReward = score.reward;
    yield { episode, counts, score, best };
  }
}
