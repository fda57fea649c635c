import type { Analysis, KeptUnits, PruningGroup } from './types.ts';

export interface UniformOptions {
  /** Units of each group, most important first (see channelOrders). Default: their own order. */
  readonly order?: ReadonlyMap<string, readonly number[]>;
  /** Kept counts are multiples of this where the group is that large; of a number for all groups, or of one for its width. Default 1. */
  readonly roundTo?: number | ((channels: number) => number);
  /** Smallest number of units that stay. Default 1. */
  readonly minChannels?: number;
}

/** What kept counts are multiples of where nobody says: block sizes of inference kernels are 4, 8 or 16 channels (docs/decisions/channel-rounding.md). */
const widestBlock = 16;

/**
 * Kept counts of a group are multiples of this, or its whole width.
 * @param roundTo asked for; 0: blocks of 16, or of the largest power of two that leaves at least eight choices
 * @returns that, or in groups of more than 64 times as many channels a multiple of it that leaves 32 to 64 choices
 */
export function stepOf(channels: number, roundTo = 0): number {
  let step = roundTo || widestBlock;
  if (roundTo === 0) while (step > 1 && step * 8 > channels) step /= 2;
  while (step * 64 <= channels) step *= 2;
  return step;
}

/**
 * How many units of a group stay.
 * @param preserve kept / original, in (0, 1]
 * @returns a count in [1, channels], a multiple of roundTo where the group has that many
 */
export function keptCount(channels: number, preserve: number, { roundTo: wanted = 1, minChannels = 1 }: UniformOptions = {}): number {
  const roundTo = typeof wanted === 'number' ? wanted : wanted(channels);
  const exact = Math.max(1, minChannels, preserve * channels);
  const rounded = channels > roundTo ? Math.max(roundTo, Math.round(exact / roundTo) * roundTo) : channels;
  return Math.min(channels, rounded < minChannels ? Math.ceil(minChannels / roundTo) * roundTo : rounded);
}

/** The `count` most important units, in ascending order. */
export const mostImportant = (group: PruningGroup, count: number, order?: readonly number[]): number[] =>
  (order ?? Array.from({ length: group.channels }, (_, unit) => unit)).slice(0, count).sort((a, b) => a - b);

/**
 * Groups that may be pruned together by one ratio without squaring it: where an axis is a product (heads x width, convolution groups x
 * channels inside them), only the factor with the most units.
 */
export function independentGroups(analysis: Analysis): ReadonlySet<string> {
  const rivals = analysis.groups.map(() => new Set<number>());
  const byAxis = new Map<string, Map<number, Int32Array>>();
  analysis.groups.forEach(({ producers, consumers }, index) => {
    for (const { initializer, axis, unitOf } of [...producers, ...consumers]) {
      const key = `${axis} ${initializer}`, others = byAxis.get(key) ?? new Map<number, Int32Array>();
      for (const [other, units] of others) {
        if (other !== index && units.some((unit, i) => unit >= 0 && unitOf[i]! >= 0)) { rivals[index]!.add(other); rivals[other]!.add(index); }
      }
      others.set(index, unitOf);
      byAxis.set(key, others);
    }
  });
  const chosen = new Set<number>();
  const bySize = analysis.groups.map(({ channels }, index) => ({ channels, index })).sort((a, b) => b.channels - a.channels || a.index - b.index);
  for (const { index } of bySize) if (![...rivals[index]!].some((rival) => chosen.has(rival))) chosen.add(index);
  return new Set([...chosen].map((index) => analysis.groups[index]!.id));
}

/** The same preserve ratio for every group. */
export function uniformKept(analysis: Analysis, preserve: number, options: UniformOptions = {}): KeptUnits {
  const pruned = independentGroups(analysis);
  return new Map(analysis.groups.filter(({ id }) => pruned.has(id)).map((group) =>
    [group.id, mostImportant(group, keptCount(group.channels, preserve, options), options.order?.get(group.id))]));
}
