import type { Counts, SearchSpace } from './searchSpace.ts';

/** What the observation says of the layer that makes a group's channels. */
export interface GroupFeatures {
  /** Output and input channels, output height and width, stride and kernel size of the main producing layer. */
  readonly outChannels: number;
  readonly inChannels: number;
  readonly height: number;
  readonly width: number;
  readonly stride: number;
  readonly kernel: number;
}

export const observationSize = 11;

/**
 * The layer-walking environment of AMC (arXiv 1802.03494, section 3.1): one step a pruning group, from input to output; the observation is
 * (t, n, c, h, w, stride, k, FLOPs[t], reduced, rest, a[t-1]), each scaled to [0, 1], costs by what the whole network spends; the action is the group's preserve ratio, bounded so that
 * the budget stays reachable with every later group at its least width (section 3.3, Algorithm 1).
 */
export class LayerWalk {
  readonly space: SearchSpace;
  private readonly features: readonly GroupFeatures[];
  private readonly budget: number;
  private limit: number;
  /** What the original spends; under several limits more than 1 where the first one is not the nearest. */
  private readonly whole: number;
  /** Cost that each group's channels take part in, as a fraction of the original's. */
  private readonly groupCost: readonly number[];
  private counts: number[] = [];
  private previous = 1;

  /** @param budget fraction of the original's cost, at least the cost of the least widths */
  constructor(space: SearchSpace, features: readonly GroupFeatures[], budget: number) {
    this.space = space;
    this.features = features;
    this.budget = budget;
    this.limit = budget;
    const { full } = space;
    this.whole = space.spent(full);
    this.groupCost = full.map((count, i) => (1 - space.spent(full.with(i, Math.ceil(count / 2))) / this.whole) * 2);
  }

  get steps(): number { return this.space.groups.length; }

  /** Begins anew. @param budget of this walk, where it is another than usual */
  reset(budget = this.budget): void { this.counts = []; this.previous = 1; this.limit = budget; }

  /** float32 [11] for the group to decide next. */
  observe(): Float32Array {
    const t = this.counts.length, { space } = this, feature = this.features[t]!;
    const largest = (key: keyof GroupFeatures): number => Math.max(1, ...this.features.map((each) => each[key]));
    const soFar = space.spent([...this.counts, ...space.full.slice(t)]);
    const rest = this.groupCost.slice(t + 1).reduce((a, b) => a + b, 0), all = this.groupCost.reduce((a, b) => a + b, 0) || 1;
    const scaled = (key: keyof GroupFeatures): number => feature[key] / largest(key);
    return Float32Array.of(
      t / Math.max(1, this.steps - 1), scaled('outChannels'), scaled('inChannels'), scaled('height'), scaled('width'), scaled('stride'), scaled('kernel'),
      this.groupCost[t]! / (Math.max(...this.groupCost) || 1), 1 - soFar / this.whole, rest / all, this.previous,
    );
  }

  /** The widest preserve ratio that the next group may take with the budget still reachable. */
  upperBound(): number {
    const t = this.counts.length, { space } = this, { channels } = space.groups[t]!.group;
    const costWith = (count: number): number => space.spent([...this.counts, count, ...space.narrowest.slice(t + 1)]);
    let low = space.narrowest[t]!, high = channels;
    while (low < high) {
      const middle = Math.ceil((low + high) / 2);
      if (costWith(middle) <= this.limit) low = middle; else high = middle - 1;
    }
    return low / channels;
  }

  /** Decides the next group. @param preserveRatio cut to what the budget allows @returns the count taken */
  step(preserveRatio: number): number {
    const t = this.counts.length, most = Math.round(this.upperBound() * this.space.groups[t]!.group.channels);
    const step = this.space.stepOf(t), whole = this.space.groups[t]!.group.channels;
    const allowed = most === whole ? whole : Math.max(this.space.narrowest[t]!, Math.floor(most / step) * step);
    const count = Math.min(allowed, this.space.countFor(t, preserveRatio));
    this.counts.push(count);
    this.previous = count / this.space.groups[t]!.group.channels;
    return count;
  }

  get done(): boolean { return this.counts.length === this.steps; }
  get choice(): Counts { return [...this.counts]; }
}
