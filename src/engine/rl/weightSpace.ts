import type { Analysis, KeptUnits } from '../pruning/types.ts';
import { type ThinnableLayer, shares } from '../reconstruction/rankWeights.ts';
import type { GroupFeatures } from './environment.ts';
import { layerFeatures } from './features.ts';
import { type CostName, type Costs, type Counts, type Decision, type Limit, type SearchSpace, spentUnder } from './searchSpace.ts';

interface WeightSpaceOptions {
  /** Five times the least share of a layer's weights that stays: single weights can be spared far beyond whole channels. */
  readonly minPreserve: number;
  /** Parameters of the original that are not zero, by default all. */
  readonly nonZero?: number;
  /** Parameters that the repair adds, and zeros that it fills. */
  readonly addedParams?: number;
}

/** Choices of fine-grained pruning: how many of the weights that are not zero each layer keeps, in shares; what is left out is zero. */
export class WeightSpace implements SearchSpace {
  readonly analysis: Analysis;
  readonly groups: readonly Decision[];
  readonly features: readonly GroupFeatures[];
  readonly cost: CostName;
  readonly strides = [1];
  readonly orders = new Map<string, readonly number[]>();
  private readonly layers: readonly ThinnableLayer[];
  private readonly limits: readonly [Limit, ...Limit[]];
  private readonly leastShares: number;
  private readonly options: WeightSpaceOptions;

  constructor(analysis: Analysis, layers: readonly ThinnableLayer[], limits: readonly [Limit, ...Limit[]], options: WeightSpaceOptions) {
    this.analysis = analysis;
    this.layers = layers;
    this.limits = limits;
    this.cost = limits[0].cost;
    this.options = options;
    this.groups = layers.map(({ layer, error }) => ({ group: { id: layer.weight, name: layer.name, channels: shares }, error }));
    this.features = layers.map(({ layer }) => layerFeatures(analysis, layer));
    this.leastShares = Math.max(1, Math.round((options.minPreserve / 5) * shares));
  }

  get full(): number[] { return this.layers.map(() => shares); }
  get narrowest(): number[] { return this.least; }
  get least(): number[] { return this.layers.map(() => this.leastShares); }
  stepOf(): number { return 1; }
  countFor(_: number, preserveRatio: number): number { return Math.min(shares, Math.max(this.leastShares, Math.round(preserveRatio * shares))); }
  keptFor(): KeptUnits { return new Map(); }
  densitiesFor(counts: Counts): ReadonlyMap<string, number> { return new Map(this.layers.map(({ layer, density }, i) => [layer.weight, (counts[i]! / shares) * density])); }

  /** Only what is not zero counts, of the original as well. */
  costOf(counts: Counts): Costs {
    const { analysis, options: { nonZero = analysis.params, addedParams = 0 } } = this, whole = this.layers.reduce((macs, { layer, density }) => macs - (1 - density) * layer.macs, analysis.macs);
    let macs = whole, params = nonZero + addedParams;
    this.layers.forEach(({ layer, weights, density }, i) => {
      const elements = Math.round(weights / density), kept = Math.max(1, Math.round((counts[i]! / shares) * density * elements)); // as many as thinOut leaves
      macs -= ((weights - kept) / elements) * layer.macs;
      params -= weights - kept;
    });
    return { macs: macs / whole, params: params / nonZero };
  }

  spent(counts: Counts): number { return spentUnder(this.limits, this.costOf(counts)); }
  under(limits: readonly [Limit, ...Limit[]]): WeightSpace { return new WeightSpace(this.analysis, this.layers, limits, this.options); }
  ratiosOf(counts: Counts): number[] { return counts.map((count) => count / shares); }
}
