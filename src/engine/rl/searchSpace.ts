import { costs } from '../pruning/costs.ts';
import type { Analysis, KeptUnits } from '../pruning/types.ts';
import type { RankedGroup } from '../reconstruction/calibration.ts';

/** How many units each group keeps, in the order of the groups. */
export type Counts = readonly number[];

export interface SpaceOptions { readonly minPreserve: number; readonly roundTo: number }

/** Everything a policy may choose: a kept count for every group, between its least and its whole width; and what a choice costs. */
export class SearchSpace {
  readonly analysis: Analysis;
  readonly groups: readonly RankedGroup[];
  /** Which of macs or params the budget is about. */
  readonly cost: 'macs' | 'params';
  private readonly options: SpaceOptions;
  private readonly kept = new Map<string, readonly number[]>();

  constructor(analysis: Analysis, groups: readonly RankedGroup[], cost: 'macs' | 'params', options: SpaceOptions) {
    this.analysis = analysis;
    this.groups = groups;
    this.cost = cost;
    this.options = options;
  }

  get full(): number[] { return this.groups.map(({ group }) => group.channels); }
  get least(): number[] { return this.groups.map((_, i) => this.leastOf(i)); }

  private leastOf(i: number): number {
    const { channels } = this.groups[i]!.group, step = this.stepOf(i);
    return Math.max(1, Math.min(channels, Math.ceil((channels * this.options.minPreserve) / step) * step));
  }

  /**
   * Counts of a group are multiples of this (or its whole width): `roundTo` where that leaves at least eight choices, the largest power of
   * two that does for narrower groups, and a multiple of it that leaves 32 to 64 choices for very wide ones. Inference kernels work on blocks of
   * channels (docs/decisions/channel-rounding.md).
   */
  stepOf(i: number): number {
    const { roundTo } = this.options, { channels } = this.groups[i]!.group;
    let step = roundTo;
    while (step > 1 && step * 8 > channels) step = Math.floor(step / 2);
    while (step * 64 <= channels) step *= 2;
    return Math.max(1, step);
  }

  /** The nearest allowed count for a preserve ratio. */
  countFor(i: number, preserveRatio: number): number {
    const { channels } = this.groups[i]!.group, step = this.stepOf(i);
    return Math.min(channels, Math.max(this.leastOf(i), Math.round((preserveRatio * channels) / step) * step));
  }

  /** Kept units of each group for a choice of counts. */
  keptFor(counts: Counts): KeptUnits {
    return new Map(this.groups.map(({ group, order }, i) => {
      const key = `${i} ${counts[i]}`;
      let units = this.kept.get(key);
      if (!units) { units = order.slice(order.length - counts[i]!).sort((a, b) => a - b); this.kept.set(key, units); }
      return [group.id, units];
    }));
  }

  /** MACs and parameters of a choice, as fractions of the original's. */
  costOf(counts: Counts): { macs: number; params: number } {
    const { macs, params } = costs(this.analysis, this.keptFor(counts));
    return { macs: macs / this.analysis.macs, params: params / this.analysis.params };
  }

  ratiosOf(counts: Counts): number[] { return counts.map((count, i) => count / this.groups[i]!.group.channels); }
}
