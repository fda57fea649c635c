import type { Analysis, KeptUnits } from '../pruning/types.ts';
import type { GroupFeatures } from './environment.ts';

/** How many units each group keeps, in the order of the groups. */
export type Counts = readonly number[];

/** What a choice costs, as fractions of the original's: the file's that is written, with the biases that the repair adds. */
export interface Costs {
  readonly macs: number;
  readonly params: number;
  /** Predicted from the latency table, where there is one. */
  readonly latency?: number;
}
export type CostName = keyof Costs;
/** A cost, and the fraction of the original's that must not be exceeded. */
export interface Limit { readonly cost: CostName; readonly budget: number }

/** What a choice spends under several limits: the cost that is nearest to its own, or furthest above it, in proportion to the first, so that all are kept where this is within the first's. */
export function spentUnder(limits: readonly [Limit, ...Limit[]], costs: Costs): number {
  const [first] = limits;
  return Math.max(...limits.map(({ cost, budget }) => (costs[cost] ?? NaN) * (first.budget / budget)));
}

/** One thing to decide: how many of its units a group keeps. */
export interface Decision {
  readonly group: { readonly id: string; readonly name: string; readonly channels: number };
  /** error[k]: what it costs to do without the k least important units; not decreasing. */
  readonly error: ArrayLike<number>;
  /** How much these errors weigh beside other groups', where it is known: the share of a shortcut's sum that the group's branch makes. */
  readonly share?: number;
}

/**
 * Everything a policy may choose: a kept count for every group, between its narrowest and its whole width, or none where it can go as a whole; and what a choice costs. Groups are sets of channels
 * that go together, or, for weight pruning, the weights of one layer in equal shares.
 */
export interface SearchSpace {
  readonly analysis: Analysis;
  readonly groups: readonly Decision[];
  /** What the agent sees of each group. */
  readonly features: readonly GroupFeatures[];
  /** What the budget is about: with several limits the first one's cost. */
  readonly cost: CostName;
  readonly full: number[];
  /** The narrowest widths, and what the cheapest choice keeps: the same, but none of a group that can go as a whole. */
  readonly narrowest: number[];
  readonly least: number[];
  /** Counts of a group are multiples of this, or its whole width. */
  stepOf(i: number): number;
  /** How many steps to look ahead for the next count that pays: more than one where costs don't fall with every step. */
  readonly strides: readonly number[];
  /** The nearest allowed count for a preserve ratio: none only for 0, where a group can go as a whole. */
  countFor(i: number, preserveRatio: number): number;
  /** Channels that stay, for each group of the analysis. */
  keptFor(counts: Counts): KeptUnits;
  /** Units of each group in the order in which every choice gives them up, the first to go first; none where weights go. */
  readonly orders: ReadonlyMap<string, readonly number[]>;
  /** Share of the weights that stay, by the layer's weight; none where whole channels go. */
  densitiesFor(counts: Counts): ReadonlyMap<string, number>;
  costOf(counts: Counts): Costs;
  /** The cost that the budget is about. @see spentUnder */
  spent(counts: Counts): number;
  /** The same choices under other limits. */
  under(limits: readonly [Limit, ...Limit[]]): SearchSpace;
  ratiosOf(counts: Counts): number[];
}
