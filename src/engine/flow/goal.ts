import { UnreachableTargetError } from '../errors.ts';
import { type Budget, type CompressOptions, budgetsOf } from '../protocol.ts';
import type { Limit, SearchSpace } from '../rl/searchSpace.ts';
import { bitmapShare } from '../pruning/sparseStorage.ts';
import type { Network } from './network.ts';

/** A budget of the target as a limit to a cost. */
export interface AskedLimit extends Limit { readonly asked: Budget }

/** What a target asks of the search. */
export interface Goal {
  /** What must not be exceeded; the first is to the cost in which everything that is spent is counted, with a budget of 1 where accuracy is what is guaranteed. */
  readonly limits: readonly [AskedLimit, ...AskedLimit[]];
  /** Accuracy that may be lost, as a fraction, where that is guaranteed and the cost is to be as low as it can. */
  readonly allowedDrop?: number;
}

/** What a target means for a method. */
export function goalOf({ target, method }: Pick<CompressOptions, 'target' | 'method'>, { file, sizeBytes }: Pick<Network, 'file' | 'sizeBytes'>): Goal {
  const limitOf = (asked: Budget): AskedLimit => {
    const { metric, value } = asked;
    switch (metric) {
      case 'macs': case 'params': case 'latency': return { asked, cost: metric, budget: value };
      case 'size': return { asked, cost: 'params', budget: budgetForSize(value, file, sizeBytes) - (method === 'weights' ? bitmapShare : 0) };
      case 'accuracy-drop': return { asked, cost: method === 'weights' ? 'params' : 'macs', budget: 1 };
      default: { const never: never = metric; return never; }
    }
  };
  const [first, ...others] = budgetsOf(target).map(limitOf);
  return { limits: [first!, ...others], ...(target.metric === 'accuracy-drop' ? { allowedDrop: target.value / 100 } : {}) };
}

/** The limit to the time of one run, where there is one. */
export const latencyLimit = ({ limits }: Goal): AskedLimit | undefined => limits.find(({ cost }) => cost === 'latency');

/** Share of the cost that is likely to be left, before the search has told. */
export const shareExpected = ({ limits: [{ budget }], allowedDrop }: Goal): number => (allowedDrop === undefined ? budget : 0.5);

/** Accuracy that must be kept, where that is guaranteed; otherwise 0. @param original the original's */
export const floorOf = ({ allowedDrop }: Goal, original: number): number => (allowedDrop === undefined ? 0 : original - allowedDrop - 1e-9);

/** A file is its weights and a graph that stays: the size left for weights is what the graph leaves, and half a percent for the names of biases that the repair adds. */
function budgetForSize(value: number, { graph }: Network['file'], sizeBytes: number): number {
  const weightBytes = graph.initializer.reduce((sum, { rawData }) => sum + rawData.length, 0);
  return (value * sizeBytes - Math.max(0, sizeBytes - weightBytes)) / Math.max(1, weightBytes) - 0.005;
}

/** @throws {UnreachableTargetError} says how near one gets */
export function checkReachable({ limits }: Goal, space: SearchSpace): void {
  const costs = space.costOf(space.least);
  for (const { asked: { metric, value }, cost, budget } of limits) {
    const nearest = costs[cost] ?? NaN;
    if (nearest <= budget) continue;
    const asked = metric === 'size' ? `target size=${value} (${budget.toFixed(3)} of the ${cost})` : `target ${metric}=${value}`;
    throw new UnreachableTargetError(`The ${asked} can't be reached: with every layer at its least width, ${nearest.toFixed(3)} of the original's ${cost}${cost === 'latency' ? ' (predicted)' : ''} remain. Choose ${metric}=${(Math.ceil((nearest + value - (metric === 'size' ? budget : value)) * 100) / 100).toFixed(2)} or more, or lower --min-preserve.`);
  }
}
