import { costs } from '../pruning/costs.ts';
import type { Analysis, KeptUnits } from '../pruning/types.ts';
import { stepOf } from '../pruning/uniform.ts';
import type { RankedGroup } from '../reconstruction/calibration.ts';
import type { GroupFeatures } from './environment.ts';
import { groupFeatures } from './features.ts';
import { type CostName, type Costs, type Counts, type Decision, type Limit, type SearchSpace, spentUnder } from './searchSpace.ts';

export interface ChannelSpaceOptions {
  readonly minPreserve: number;
  /** Parameters that the repair adds to what is kept. */
  readonly addedParams?: (kept: KeptUnits) => number;
  /** What counts are multiples of; 0 for what suits each group (stepOf). */
  readonly roundTo: number;
  /** Whether groups that can may go as a whole. */
  readonly removal?: boolean;
  /** What branches weigh, by group. @see branchShares */
  readonly shares?: ReadonlyMap<string, number>;
  /** Predicts the time of one run from what is kept, as a fraction of the original's. */
  readonly latency?: (kept: KeptUnits) => number;
}

/** Choices of channel pruning: how many channels each pruning group keeps; the least important ones go. */
export class ChannelSpace implements SearchSpace {
  readonly analysis: Analysis;
  readonly groups: readonly (RankedGroup & Decision)[];
  readonly narrowest: number[];
  readonly least: number[];
  readonly features: readonly GroupFeatures[];
  readonly cost: CostName;
  private readonly limits: readonly [Limit, ...Limit[]];
  private readonly options: ChannelSpaceOptions;
  private readonly kept = new Map<string, readonly number[]>();

  constructor(analysis: Analysis, groups: readonly RankedGroup[], limits: readonly [Limit, ...Limit[]], options: ChannelSpaceOptions) {
    this.analysis = analysis;
    this.groups = groups.map((ranked) => { const share = options.shares?.get(ranked.group.id); return share === undefined ? ranked : { ...ranked, share }; });
    this.features = groupFeatures(analysis, groups);
    this.limits = limits;
    this.cost = limits[0].cost;
    this.options = options;
    this.narrowest = groups.map(({ group: { channels } }, i) => { const step = this.stepOf(i); return Math.max(1, Math.min(channels, Math.ceil((channels * options.minPreserve) / step) * step)); });
    this.least = groups.map(({ group }, i) => (options.removal && group.removable ? 0 : this.narrowest[i]!));
  }

  /** Time falls in blocks of channels, so one step may save nothing. */
  get strides(): readonly number[] { return this.limits.some(({ cost }) => cost === 'latency') ? [1, 2, 4] : [1]; }
  get orders(): ReadonlyMap<string, readonly number[]> { return new Map(this.groups.map(({ group, order }) => [group.id, order])); }
  get full(): number[] { return this.groups.map(({ group }) => group.channels); }

  stepOf(i: number): number { return stepOf(this.groups[i]!.group.channels, this.options.roundTo); }

  countFor(i: number, preserveRatio: number): number {
    const { channels } = this.groups[i]!.group, step = this.stepOf(i);
    return preserveRatio === 0 ? this.least[i]! : Math.min(channels, Math.max(this.narrowest[i]!, Math.round((preserveRatio * channels) / step) * step));
  }

  keptFor(counts: Counts): KeptUnits {
    return new Map(this.groups.map(({ group, order }, i) => {
      const key = `${i} ${counts[i]}`;
      let units = this.kept.get(key);
      if (!units) { units = order.slice(order.length - counts[i]!).sort((a, b) => a - b); this.kept.set(key, units); }
      return [group.id, units];
    }));
  }

  densitiesFor(): ReadonlyMap<string, number> { return new Map(); }

  costOf(counts: Counts): Costs {
    const kept = this.keptFor(counts), { macs, params } = costs(this.analysis, kept), { latency, addedParams } = this.options;
    return { macs: macs / this.analysis.macs, params: (params + (addedParams?.(kept) ?? 0)) / this.analysis.params, ...(latency ? { latency: latency(kept) } : {}) };
  }

  spent(counts: Counts): number {
    const { latency } = this.options, [first] = this.limits;
    if (this.limits.length === 1 && first.cost === 'latency' && latency) return latency(this.keptFor(counts)); // the others need not be counted
    return spentUnder(this.limits, this.costOf(counts));
  }

  under(limits: readonly [Limit, ...Limit[]]): ChannelSpace { return new ChannelSpace(this.analysis, this.groups, limits, this.options); }

  ratiosOf(counts: Counts): number[] { return counts.map((count, i) => count / this.groups[i]!.group.channels); }
}
