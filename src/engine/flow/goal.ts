import { UnreachableTargetError } from '../errors.ts';
import { fileBytes } from '../onnx/modelFile.ts';
import { GraphView } from '../onnx/graphView.ts';
import { bytesPerElement, isFloatTensor } from '../onnx/tensor.ts';
import { type Budget, type CompressOptions, type Target, budgetsOf } from '../protocol.ts';
import type { Limit, SearchSpace } from '../rl/searchSpace.ts';
import { floatElements } from '../pruning/sparseStorage.ts';
import type { Network } from './network.ts';

/** A budget of the target as a limit to a cost. */
export interface AskedLimit extends Limit {
  readonly asked: Budget;
  /** The value of the budget that a cost keeps just so, where that is not the cost. */
  readonly valueFor?: (cost: number) => number;
}

/** What a target asks of the search. */
export interface Goal {
  /** What must not be exceeded; the first is to the cost in which everything that is spent is counted, with a budget of 1 where accuracy is what is guaranteed. */
  readonly limits: readonly [AskedLimit, ...AskedLimit[]];
  /** Accuracy that may be lost, as a fraction, where that is guaranteed and the cost is to be as low as it can. */
  readonly allowedDrop?: number;
}

/** The file that a run would write with nothing pruned: repaired, in its number type, with what it tells of the preprocessing. */
export interface WholeFile {
  /** With single weights, those of bitmaps as well. */
  readonly bytes: number;
  /** Those of its parameters of which the search counts what stays. */
  readonly params: number;
  /** Bytes that one of them takes, where they differ the least. */
  readonly bytesEach: number;
}

/** @param params those of the whole network, for channels */
export function wholeFile(file: Network['file'], method: CompressOptions['method'], params: number): WholeFile {
  const weights = [...new GraphView(file.graph).constants.values()].filter((tensor) => isFloatTensor(tensor) && tensor.dims.length > 1), { count, bitmapBytes } = floatElements(file);
  return { bytes: fileBytes(file) + (method === 'weights' ? bitmapBytes : 0), params: method === 'weights' ? count : params, bytesEach: Math.min(8, ...weights.map(bytesPerElement)) };
}

/** What a target means for a method. @param original params: of which costs are fractions; whole: made where a size is asked for */
export function goalOf({ target, method }: Pick<CompressOptions, 'target' | 'method'>, original: { readonly params: number; readonly sizeBytes: number; readonly whole: () => WholeFile }): Goal {
  const limitOf = (asked: Budget): AskedLimit => {
    const { metric, value } = asked;
    switch (metric) {
      case 'macs': case 'params': case 'latency': return { asked, cost: metric, budget: value };
      case 'size': { // every byte but those of parameters that go stays
        const { params, sizeBytes } = original, whole = original.whole(), fixedBytes = whole.bytes - whole.params * whole.bytesEach, perCost = params * whole.bytesEach;
        return { asked, cost: 'params', budget: (value * sizeBytes - fixedBytes) / perCost, valueFor: (cost) => (fixedBytes + cost * perCost) / sizeBytes };
      }
      case 'accuracy-drop': return { asked, cost: method === 'weights' ? 'params' : 'macs', budget: 1 };
      default: { const never: never = metric; return never; }
    }
  };
  const [first, ...others] = budgetsOf(target).map(limitOf), allowedDrop = allowedDropOf(target);
  return { limits: [first!, ...others], ...(allowedDrop === undefined ? {} : { allowedDrop }) };
}

/** Accuracy that a target lets go, as a fraction, where that is what it is about. */
const allowedDropOf = ({ metric, value }: Target): number | undefined => (metric === 'accuracy-drop' ? value / 100 : undefined);

/** The limit to the time of one run, where there is one. */
export const latencyLimit = ({ limits }: Goal): AskedLimit | undefined => limits.find(({ cost }) => cost === 'latency');

/** Share of the cost that is likely to be left, before the search has told. */
export const shareExpected = ({ limits: [{ budget }], allowedDrop }: Goal): number => (allowedDrop === undefined ? budget : 0.5);

/** Accuracy that must be kept, where that is guaranteed; otherwise 0. @param original the original's */
export function floorOf(target: Target, original: number): number {
  const allowedDrop = allowedDropOf(target);
  return allowedDrop === undefined ? 0 : original - allowedDrop - 1e-9;
}

/** @throws {UnreachableTargetError} says how near one gets */
export function checkReachable({ limits }: Goal, space: SearchSpace): void {
  const costs = space.costOf(space.least);
  for (const { asked: { metric, value }, cost, budget, valueFor = (each: number) => each } of limits) {
    const nearest = costs[cost] ?? NaN;
    if (nearest <= budget) continue;
    const asked = metric === 'size' ? `target size=${value} (${budget.toFixed(3)} of the ${cost})` : `target ${metric}=${value}`, possible = Math.ceil(valueFor(nearest) * 100) / 100;
    const advice = possible < 1 ? `Choose ${metric}=${possible.toFixed(2)} or more, or lower --min-preserve.` : 'Nothing smaller than the original is possible unless --min-preserve is lowered.';
    throw new UnreachableTargetError(`The ${asked} can't be reached: with every layer at its least width, ${nearest.toFixed(3)} of the original's ${cost}${cost === 'latency' ? ' (predicted)' : ''} remain. ${advice}`);
  }
}
