import type { Score } from './candidateJudge.ts';
import type { CostName, Costs } from './searchSpace.ts';

/** What the agent is paid for a candidate; higher is better. */
export type Objective = (score: Score, costs: Costs) => number;

/** Under a hard budget: how accurate the candidate is (arXiv 1802.03494, section 3.3, resource-constrained compression). */
export const mostAccurate: Objective = ({ reward }) => reward;

/** Errors below this are all alike: the logarithm of the cost alone would then decide nothing. */
const leastError = 1e-3;

/**
 * Accuracy-guaranteed compression: -Error * log(cost), with the cost in multiply-accumulates or in parameters (arXiv 1802.03494, section 3.3:
 * R_FLOPs and R_Param). Error that the user allows is free: all candidates within it count as having just that error, so among them the smallest is best.
 * @param allowedError fraction in [0, 1] @param whole the original's cost, in units
 */
export const smallestWithin = (allowedError: number, cost: CostName, whole: number): Objective => ({ accuracy }, costs) =>
  -Math.max(1 - accuracy, allowedError, leastError) * Math.log(Math.max(2, (costs[cost] ?? 1) * whole));
