import { fixedBatch } from '../evaluation/fixedBatch.ts';
import { valuesASample } from '../evaluation/forwardCost.ts';
import type { Predictor } from '../evaluation/latencyTable.ts';
import { withPreprocessing } from '../evaluation/recordedPreprocessing.ts';
import { chunked, elementsOf } from '../evaluation/samples.ts';
import { Profile } from '../numerics/profile.ts';
import type { CompressOptions } from '../protocol.ts';
import { sparseStorage } from '../pruning/sparseStorage.ts';
import { unshare } from '../pruning/unshare.ts';
import { AnchoredRefit } from '../reconstruction/anchoredRefit.ts';
import { branchShares } from '../reconstruction/branchShares.ts';
import { rankGroups } from '../reconstruction/calibration.ts';
import { rankWeights } from '../reconstruction/rankWeights.ts';
import { type RefitTargets, addedBiases, filledZeros, refitTargets, withBiases, withFewerRows } from '../reconstruction/refitTargets.ts';
import { type RowBudget, memoryLimits } from '../reconstruction/rowBudget.ts';
import { type RefitOptions, sequentialRefit } from '../reconstruction/sequentialRefit.ts';
import type { Craft } from '../rl/candidateJudge.ts';
import { ChannelSpace } from '../rl/channelSpace.ts';
import type { Counts, SearchSpace } from '../rl/searchSpace.ts';
import { WeightSpace } from '../rl/weightSpace.ts';
import { type Goal, checkReachable, goalOf, latencyLimit, wholeFile } from './goal.ts';
import { latencyOf } from './latencyTarget.ts';
import type { Network } from './network.ts';
import type { Task } from './task.ts';

/** What the search needs: the choices it has, how to make candidates quickly, and how to make the final model well. */
export interface Calibration {
  readonly space: SearchSpace;
  readonly goal: Goal;
  /** What the seconds are spent on, the search's as well. */
  readonly profile: Profile;
  /** Refits a candidate on a few images. */
  readonly quick: Craft;
  /** Refits candidates near a choice, at the cost of gathers. */
  readonly near: (anchor: Counts) => Promise<Craft>;
  /** The repair by which policies are compared, and the one that the final model gets; prepared when first needed: they take more memory. */
  readonly careful: () => Promise<Craft>;
  readonly thorough: () => Promise<Craft>;
}

/** Rows of regressions: for ranking, for scoring a candidate, for comparing the best, for the final model. */
const rows = {
  rank: { rows: 10_240, perColumn: 2, points: 10 }, quick: { rows: 4096, perColumn: 1.5, points: 8 }, careful: { rows: 10_240, perColumn: 2, mostPerColumn: 48, mostImages: 4096 }, thorough: { rows: 98_304, perColumn: 4, points: 12 },
};
/** Rounds that know the activation, for the final model: with single weights they go without momentum, and there are more of them. */
const thoroughRounds = { channels: 8, weights: 12 } as const;
/** Rows for the final model where there are few images. */
const fewImagesRows = 49_152;
/** Images for ranking: a classifier has one row an image, and would take all there are. */
const rankImages = 4096;
/** Multiply-accumulates that running the original over calibration images may take: about half a minute on a laptop; and float32 values of all layers that one run may give. */
const calibrationMacs = 2e12, valuesAtOnce = 1e8;

/** Ranks channels, measures the original's features, and checks that the target can be reached. @throws {UnreachableTargetError} says how near one gets */
export async function calibrate(network: Network, task: Task, options: CompressOptions, signal: AbortSignal, progress: (fraction: number) => void): Promise<Calibration> {
  const { proto, analysis } = network, session = { threads: options.threads }, { seed } = options, profile = new Profile();
  const most = Math.max(1, Math.min(64, Math.floor(6e6 / elementsOf(task.calibration)), Math.floor(valuesAtOnce / valuesASample(analysis))));
  const feeds = chunked(task.calibration, most, fixedBatch(proto)), limits = { mostImages: Math.max(64, calibrationMacs / analysis.macs), ...memoryLimits };
  const rankOptions = { ...session, budget: { ...rows.rank, ...limits, mostImages: Math.min(limits.mostImages, rankImages) }, seed, signal, progress, profile };
  const targetsOf = (budget: Pick<RowBudget, 'rows' | 'perColumn' | 'points'>, offset: number): Promise<RefitTargets> =>
    profile.timed('targets', () => refitTargets(proto, analysis, feeds, { ...budget, ...limits }, seed + offset, { ...session, firstLayers: options.method === 'weights' }));
  const few = await targetsOf(rows.quick, 1), quickFit = { rounds: 1, ridge: 1e-3, grouped: false, signal };
  const repaired = few.layers.map(({ layer }) => layer), biased = withBiases(unshare(proto).model, repaired), nonZero = sparseStorage(proto, 0).nonZero, addedParams = addedBiases(analysis, biased.biases);
  const goal = goalOf(options, { params: options.method === 'weights' ? nonZero : analysis.params, sizeBytes: network.sizeBytes, whole: () => wholeFile(withPreprocessing(network.inFileType(biased.model), task.preparation.recipe), options.method, analysis.params + addedParams(new Map())) });
  const space = await (options.method === 'weights' ? weightSpace() : channelSpace());
  checkReachable(goal, space);
  const sequentially = (targets: RefitTargets, fit: RefitOptions): Craft => (prune, kept, densities) => sequentialRefit(prune(), kept, targets, { ...fit, densities });
  const around = async (anchor: Counts): Promise<Craft> => {
    const refit = await profile.timed('anchor', () => AnchoredRefit.prepare(proto, { kept: space.keptFor(anchor), densities: space.densitiesFor(anchor) }, space.orders, few, quickFit));
    return (prune, kept, densities) => refit.refit(prune(refit.replaced), { kept, densities });
  };
  // candidates that thin layers out differ too much for one allocation's errors to be theirs: the whole network is their anchor (docs/decisions/anchored-scoring.md)
  const quick = options.method === 'weights' ? await around(space.full) : sequentially(few, quickFit);
  let many: Promise<RefitTargets> | undefined;
  const ownRows = rows.thorough.points * task.calibration.count; // more positions of few images tell little
  const targets = (): Promise<RefitTargets> => many ??= targetsOf({ ...rows.thorough, rows: Math.min(rows.thorough.rows, Math.max(fewImagesRows, ownRows)) }, 2);
  return {
    space, goal, quick, profile,
    near: async (anchor) => (options.method === 'weights' ? quick : around(anchor)),
    careful: async () => sequentially(withFewerRows(await targets(), rows.careful), { rounds: 2, ridge: 1e-4, grouped: true, signal }),
    thorough: async () => sequentially(await targets(), { rounds: thoroughRounds[options.method], ridge: 1e-4, grouped: true, signal }),
  };

  async function weightSpace(): Promise<SearchSpace> {
    const layers = await rankWeights(proto, analysis, feeds, rankOptions), filled = filledZeros(biased, repaired, new Set(layers.map(({ layer: { weight } }) => weight)));
    return new WeightSpace(analysis, layers, goal.limits, { minPreserve: options.minPreserve, nonZero, addedParams: sparseStorage(biased.model, 0).nonZero - nonZero + filled });
  }

  async function channelSpace(): Promise<SearchSpace> {
    const ranked = await rankGroups(proto, analysis, feeds, rankOptions);
    const shares = await branchShares(proto, analysis, feeds, session), timed = latencyLimit(goal) !== undefined;
    const removal = timed && options.agent !== 'paper'; // a group that goes as a whole saves time where a narrow one does not (docs/decisions/whole-branches.md)
    const spaceBy = (latency?: Predictor): ChannelSpace => new ChannelSpace(analysis, ranked, goal.limits, { minPreserve: options.minPreserve, roundTo: options.roundTo, addedParams, removal, shares, ...(latency ? { latency } : {}) });
    return timed ? spaceBy(await latencyOf(network, spaceBy, goal.limits[0].budget, task, options, signal, progress)) : spaceBy();
  }
}
