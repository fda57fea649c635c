import { UnreachableTargetError } from '../errors.ts';
import type { CompressOptions, Target } from '../protocol.ts';
import type { CostName, SearchSpace } from '../rl/searchSpace.ts';
import { bitmapShare } from '../pruning/sparseStorage.ts';
import type { Network } from './network.ts';

/** What a target asks of the search. */
export interface Goal {
  readonly target: Target;
  /** The cost to keep low. */
  readonly cost: CostName;
  /** Fraction of the original's cost that must not be exceeded; 1 where accuracy is what is guaranteed. */
  readonly budget: number;
  /** Accuracy that may be lost, as a fraction, where that is guaranteed and the cost is to be as low as it can. */
  readonly allowedDrop?: number;
}

/** What a target means for a method. */
export function goalOf({ target, method }: Pick<CompressOptions, 'target' | 'method'>, { proto, sizeBytes }: Pick<Network, 'proto' | 'sizeBytes'>): Goal {
  const { metric, value } = target;
  switch (metric) {
    case 'macs': case 'params': case 'latency': return { target, cost: metric, budget: value };
    case 'size': return { target, cost: 'params', budget: budgetForSize(value, proto, sizeBytes) - (method === 'weights' ? bitmapShare : 0) };
    case 'accuracy-drop': return { target, cost: method === 'weights' ? 'params' : 'macs', budget: 1, allowedDrop: value / 100 };
    default: { const never: never = metric; return never; }
  }
}

/** Accuracy that must be kept, where that is guaranteed; otherwise 0. @param original the original's */
export const floorOf = ({ allowedDrop }: Goal, original: number): number => (allowedDrop === undefined ? 0 : original - allowedDrop - 1e-9);

/** A file is its weights and a graph that stays: the size left for weights is what the graph leaves, and half a percent for names and biases that the repair adds. */
function budgetForSize(value: number, proto: Network['proto'], sizeBytes: number): number {
  const weightBytes = proto.graph.initializer.reduce((sum, { rawData }) => sum + rawData.length, 0);
  return (value * sizeBytes - Math.max(0, sizeBytes - weightBytes)) / Math.max(1, weightBytes) - 0.005;
}

/** @throws {UnreachableTargetError} says how near one gets */
export function checkReachable({ target, cost, budget }: Goal, space: SearchSpace): void {
  const nearest = space.spent(space.least);
  if (nearest <= budget) return;
  const asked = target.metric === 'size' ? `target size=${target.value} (${budget.toFixed(3)} of the ${cost})` : `target ${target.metric}=${target.value}`;
  throw new UnreachableTargetError(`The ${asked} can't be reached: with every layer at its least width, ${nearest.toFixed(3)} of the original's ${cost}${cost === 'latency' ? ' (predicted)' : ''} remain. Choose ${target.metric}=${(Math.ceil((nearest + target.value - (target.metric === 'size' ? budget : target.value)) * 100) / 100).toFixed(2)} or more, or lower --min-preserve.`);
}
