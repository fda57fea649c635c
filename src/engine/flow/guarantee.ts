import { UnreachableTargetError } from '../errors.ts';
import { allocate, fillBudget } from '../rl/allocation.ts';
import { scaleToBudget } from '../rl/policies.ts';
import type { Counts, SearchSpace } from '../rl/searchSpace.ts';
import type { Made, Standing, Winner } from './rebuild.ts';
import type { Judged } from './search.ts';

/** The allocation of least error for a budget. */
const allocation = (space: SearchSpace, budget: number): Counts => fillBudget(space, allocate(space, budget, 1) ?? space.least, budget, 1);

/** A choice with the same proportions at another budget. */
export function rescaled(space: SearchSpace, counts: Counts, budget: number): Counts {
  const scaled = scaleToBudget(space, space.ratiosOf(counts), budget);
  return scaled ? fillBudget(space, scaled, budget, 1) : space.least;
}

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

/** Fractions by which the cost of a leader is changed while it keeps the guarantee or breaks it, and how near its limit is looked for. */
const stride = 1.1, nearEnough = 1.01, mostMoves = 4, mostHalvings = 4;
/** A rival must be cheaper than the best so far by this factor. */
const cheaper = 0.985;

/**
 * The smallest network that keeps the guarantee on all validation images, made thoroughly: leaders are made narrower while they keep it, or wider until
 * they do, in their own proportions; the hand-made policies get the same chance.
 * @param floor accuracy that must be kept @param make builds a choice thoroughly and judges it on all images
 * @returns the winner, how each policy did, and the baselines as they did at the winner's budget
 * @throws {UnreachableTargetError} when none keeps it: says how near one gets
 */
export async function rebuildGuaranteed(space: SearchSpace, agent: readonly Judged[], baselines: readonly Judged[], floor: number, make: (counts: Counts) => Promise<Made>, progress: (fraction: number) => void): Promise<{ winner: Winner; standings: ReadonlyMap<string, Standing>; baselines: Judged[] }> {
  let winner: Winner | undefined, nearest: { accuracy: number; cost: number } | undefined;
  const known = new Map<string, number>();
  /** Makes a choice. @returns its accuracy */
  const consider = async (policy: string, counts: Counts): Promise<number> => {
    const before = known.get(counts.join());
    if (before !== undefined) return before;
    const made = await make(counts), { accuracy } = made, cost = space.spent(counts);
    known.set(counts.join(), accuracy);
    if (cost < 1 && (!nearest || accuracy > nearest.accuracy)) nearest = { accuracy, cost };
    if (accuracy >= floor && cost < 1 && (!winner || cost < space.spent(winner.counts))) winner = { policy, counts, ...made };
    return accuracy;
  };
  /** Looks for the least cost at which a choice's proportions keep the guarantee. */
  const slide = async (policy: string, counts: Counts, start: number): Promise<void> => {
    const least = space.spent(space.least), keeps = async (budget: number): Promise<boolean> => await consider(policy, rescaled(space, counts, budget)) >= floor;
    let low: number | undefined, high: number | undefined, at = start;
    for (let move = 0; move < mostMoves && (low === undefined || high === undefined); move++) {
      if (await keeps(at)) high = at; else low = at;
      if (high === undefined && (at >= 0.98 || (winner !== undefined && at * stride > space.spent(winner.counts)))) return;
      at = high === undefined ? Math.min(0.98, at * stride ** (move + 1)) : at / stride;
      if (at < least) break;
    }
    for (let halving = 0; low !== undefined && high !== undefined && high / low > nearEnough && halving < mostHalvings; halving++) {
      const middle = Math.sqrt(low * high);
      if (await keeps(middle)) high = middle; else low = middle;
    }
  };
  const leaders = [...agent].sort((a, b) => b.candidate.reward - a.candidate.reward || a.candidate.episode - b.candidate.episode)
    .filter(({ counts }, i, all) => all.findIndex((other) => other.counts.join() === counts.join()) === i).slice(0, 2);
  const found: Judged[] = [], standings = new Map<string, Standing>(), rivals = [...leaders, ...baselines];
  for (const [i, judged] of rivals.entries()) {
    const { policy, counts, candidate } = judged, start: number = winner ? space.spent(winner.counts) * cheaper : space.spent(counts);
    if (winner === undefined || await consider(policy, rescaled(space, counts, start)) >= floor) await slide(policy, counts, start);
    if (i >= leaders.length) {
      const own = rescaled(space, counts, start), { macs, params } = space.costOf(own), accuracy = await consider(policy, own);
      found.push({ policy, counts: own, candidate: { ...candidate, macs, params, accuracy, preserve: space.ratiosOf(own) } });
      standings.set(policy, { counts: own, accuracy });
    }
    progress((i + 1) / rivals.length);
  }
  if (!winner) {
    const points = (100 * (floor - (nearest?.accuracy ?? 0))).toFixed(2);
    throw new UnreachableTargetError(`No smaller network keeps the accuracy that was asked for: the nearest, with ${(nearest?.cost ?? 1).toFixed(3)} of the original's ${space.cost}, is ${points} points below it. Allow that much more with --target accuracy-drop=P.`);
  }
  if (winner.policy === 'agent') standings.set('agent', winner);
  return { winner, standings, baselines: found };
}
