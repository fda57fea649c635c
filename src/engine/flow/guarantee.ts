import { UnreachableTargetError } from '../errors.ts';
import { allocate, fillBudget, withinBudget } from '../rl/allocation.ts';
import type { Counts, SearchSpace } from '../rl/searchSpace.ts';
import { type Make, type Standing, type Winner, thoroughCost } from './rebuild.ts';
import type { Judged } from './search.ts';

/** The allocation of least error for a budget. */
const allocation = (space: SearchSpace, budget: number): Counts => fillBudget(space, allocate(space, budget, 1) ?? space.least, budget, 1);

/** A choice with the same proportions at another budget. */
export const rescaled = (space: SearchSpace, counts: Counts, budget: number): Counts => withinBudget(space, space.ratiosOf(counts), budget) ?? space.least;

/** Where to search when accuracy is guaranteed: about which budget, and how much accuracy a quickly made candidate may lose. */
export interface StartingPoint {
  readonly budget: number;
  /** Accuracy that a quickly made candidate needs, so that made thoroughly it keeps the guarantee. */
  readonly quickFloor: number;
}

/** Accuracies of a choice on the images that candidates are scored on: made quickly, and made thoroughly. Each is found once a choice. */
export interface Probe { quick(counts: Counts): Promise<number>; thorough(counts: Counts): Promise<number> }

const coarseSteps = 6, fineSteps = 4;

/**
 * The least budget at which the allocation without search keeps the guarantee: bisection with quick scores, once more with what making the result thoroughly
 * gains.
 * @param allowedDrop fraction in [0, 1]
 */
export async function findStartingPoint(space: SearchSpace, allowedDrop: number, probe: Probe): Promise<StartingPoint> {
  const floor = await probe.quick(space.full) - allowedDrop, least = space.spent(space.least);
  const bisect = async (low: number, high: number, wanted: number, steps: number): Promise<number> => {
    for (let step = 0; step < steps; step++) {
      const middle = Math.sqrt(low * high);
      if (await probe.quick(allocation(space, middle)) >= wanted) high = middle; else low = middle;
    }
    return high;
  };
  const coarse = await bisect(least, 1, floor, coarseSteps), counts = allocation(space, coarse);
  const gain = Math.max(0, await probe.thorough(counts) - await probe.quick(counts));
  const quickFloor = floor - gain;
  return { budget: await bisect(Math.max(least, coarse / 3), coarse, quickFloor, fineSteps), quickFloor };
}

/** How far a walk to another cost goes at a time, and how near the limit it ends. */
const stride = 1.1, nearEnough = 1.015, mostMoves = 4;
/** Models that are made thoroughly for one choice's proportions; how much more is left of one each time that it breaks the guarantee, at least; and the most that may be left. */
const mostMade = 6, backOff = 1.03, mostLeft = 0.98;
/** A rival must be cheaper than the best so far by this factor. */
const cheaper = 0.985;

/** Share of the work that goes into the first rival, which finds where the limit lies: others mostly show at once that they don't promise to be smaller. And the work, in light repairs, that is half of a rival's. */
const firstShare = 0.8, halfOfRival = 2 * thoroughCost;

/**
 * The smallest network that keeps the guarantee on all validation images, made thoroughly: leaders are made narrower while they keep it, or wider until
 * they do, in their own proportions; the hand-made policies get the same chance. Where to look is told by models that are repaired lightly: what making them
 * thoroughly adds is taken to be what it added the last time, and only what promises to keep the guarantee is made so and judged by its own accuracy.
 * @param floor accuracy that must be kept @param make builds a choice lightly and thoroughly and judges it on all images
 * @returns the winner; how each policy did, repaired lightly: the winner's as it is, the agent's best at its cost, other baselines a little below the best so far; and the baselines so
 * @throws {UnreachableTargetError} when none keeps it: says how near one gets
 */
export async function rebuildGuaranteed(space: SearchSpace, agent: readonly Judged[], baselines: readonly Judged[], floor: number, make: Make, progress: (fraction: number) => void): Promise<{ winner: Winner; standings: ReadonlyMap<string, Standing>; baselines: Judged[] }> {
  let winner: Winner | undefined, nearest: { accuracy: number; cost: number } | undefined, gain = 0;
  const made = new Set<string>(), least = space.spent(space.least);
  let worked = (_: number): void => undefined;
  const careful = async (counts: Counts): Promise<number> => {
    const { accuracy } = await make.careful(counts);
    worked(1);
    return accuracy;
  };
  const promises = async (counts: Counts): Promise<boolean> => await careful(counts) + gain >= floor;
  /** Makes a choice thoroughly. @returns whether it keeps the guarantee */
  const keeps = async (policy: string, counts: Counts): Promise<boolean> => {
    const result = await make.thorough(counts), { accuracy } = result, cost = space.spent(counts);
    worked(thoroughCost);
    made.add(counts.join());
    gain = accuracy - await careful(counts);
    if (cost < 1 && (!nearest || accuracy > nearest.accuracy)) nearest = { accuracy, cost };
    if (accuracy >= floor && cost < 1 && (!winner || cost < space.spent(winner.counts))) winner = { policy, counts, ...result };
    return accuracy >= floor;
  };
  /**
   * The least cost at which a choice's proportions promise to keep the guarantee, seen from one that keeps it or breaks it; the most that may be left when none is found.
   * @param low a cost that breaks it @param high one that keeps it, or beyond which nothing is looked for
   */
  const foretold = async (counts: Counts, low: number | undefined, high: number | undefined): Promise<number> => {
    for (let move = 1; move <= mostMoves && (low === undefined || high === undefined); move++) {
      const at = high === undefined ? Math.min(mostLeft, low! * stride ** move) : high / stride;
      if (at < least) break;
      if (await promises(rescaled(space, counts, at))) high = at; else low = at;
      if (low === mostLeft) break;
    }
    if (low === undefined || high === undefined) return high ?? mostLeft;
    while (high / low > nearEnough) {
      const middle = Math.sqrt(low * high);
      if (await promises(rescaled(space, counts, middle))) high = middle; else low = middle;
    }
    return high;
  };
  /** Makes a choice thoroughly where it promises to be smallest, until it is known about there. */
  const slide = async (policy: string, counts: Counts, start: number): Promise<void> => {
    let low: number | undefined, high: number | undefined;
    for (let at = start, tries = 0, fails = 0; tries < mostMade; tries++) {
      const scaled = rescaled(space, counts, at);
      if (made.has(scaled.join())) return;
      if (await keeps(policy, scaled)) high = at; else { low = at; fails++; }
      const most = high ?? (winner && space.spent(winner.counts)); // nothing is looked for beyond the best so far
      if (most === undefined ? at >= mostLeft : most / (low ?? 0) <= nearEnough) return;
      const next = await foretold(counts, low, most);
      at = low === at ? Math.min(most ?? mostLeft, Math.max(next, at * backOff ** fails)) : next;
      if (at === most) return;
    }
  };
  const leaders = [...agent].sort((a, b) => b.candidate.reward - a.candidate.reward || a.candidate.episode - b.candidate.episode)
    .filter(({ counts }, i, all) => all.findIndex((other) => other.counts.join() === counts.join()) === i).slice(0, 2);
  const owns: Judged[] = [], rivals = [...leaders, ...baselines];
  const begun = (rival: number): number => (rival === 0 ? 0 : rival === rivals.length ? 1 : firstShare + (1 - firstShare) * (rival - 1) / (rivals.length - 1));
  for (const [i, { policy, counts, candidate }] of rivals.entries()) {
    let work = 0;
    worked = (units) => { work += units; progress(begun(i) + (begun(i + 1) - begun(i)) * (1 - 2 ** (-work / halfOfRival))); };
    const start: number = winner ? space.spent(winner.counts) * cheaper : space.spent(counts), own = rescaled(space, counts, start);
    if (winner === undefined || await promises(own)) await slide(policy, counts, start);
    if (i >= leaders.length) owns.push({ policy, counts: own, candidate });
    progress(begun(i + 1));
  }
  if (!winner) {
    if (!nearest) throw new UnreachableTargetError(`No smaller network can be made: with every layer at its least width, ${least.toFixed(3)} of the original's ${space.cost} remain. Lower --min-preserve.`);
    throw new UnreachableTargetError(`No smaller network keeps the accuracy that was asked for: the nearest, with ${nearest.cost.toFixed(3)} of the original's ${space.cost}, is ${(100 * (floor - nearest.accuracy)).toFixed(2)} points below it. Allow that much more with --target accuracy-drop=P.`);
  }
  const found: Judged[] = [], standings = new Map<string, Standing>(), { policy: best, counts: written } = winner;
  const stands = async (policy: string, own: Counts): Promise<Standing> => {
    const counts = policy === best ? written : own, standing = { counts, accuracy: (await make.careful(counts)).accuracy };
    standings.set(policy, standing);
    return standing;
  };
  for (const { policy, counts } of leaders.slice(0, 1)) await stands(policy, rescaled(space, counts, space.spent(written)));
  for (const { policy, counts: own, candidate } of owns) {
    const { counts, accuracy } = await stands(policy, own), { macs, params } = space.costOf(counts);
    found.push({ policy, counts, candidate: { ...candidate, macs, params, accuracy, preserve: space.ratiosOf(counts) } });
  }
  return { winner, standings, baselines: found };
}
