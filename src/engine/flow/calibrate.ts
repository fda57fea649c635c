import { InputError, UnreachableTargetError } from '../errors.ts';
import { chunked } from '../evaluation/taskData.ts';
import type { CompressOptions } from '../protocol.ts';
import { AnchoredRefit } from '../reconstruction/anchoredRefit.ts';
import { rankGroups } from '../reconstruction/calibration.ts';
import { type RefitTargets, refitTargets } from '../reconstruction/refitTargets.ts';
import { type RefitOptions, sequentialRefit } from '../reconstruction/sequentialRefit.ts';
import type { Craft } from '../rl/candidateJudge.ts';
import { type Counts, SearchSpace } from '../rl/searchSpace.ts';
import type { Network } from './network.ts';
import type { Task } from './task.ts';

/** What the search needs: the choices it has, how to make candidates quickly, and how to make the final model well. */
export interface Calibration {
  readonly space: SearchSpace;
  /** Fraction of the original's cost that a choice may have. */
  readonly budget: number;
  /** Refits a candidate on a few images. */
  readonly quick: Craft;
  /** Refits candidates near a choice, at the cost of gathers. */
  readonly near: (anchor: Counts) => Promise<Craft>;
  /** The repair by which policies are compared, and the one that the final model gets; prepared when first needed: they take more memory. */
  readonly careful: () => Promise<Craft>;
  readonly thorough: () => Promise<Craft>;
}

/** Calibration images and points an image: for ranking, for scoring a candidate, for comparing the best, for the final model. */
const sizes = { rank: { images: 1024, points: 10 }, quick: { images: 512, points: 8 }, careful: { images: 1024, points: 8 }, thorough: { images: 4096, points: 12 } };
/** Bytes that the activations held by one refit may take, the original's features at sampled positions, and the layers' inputs there around an anchor. */
const activationBytes = 8e8, featureBytes = 4e8, anchorBytes = 8e8;

/** Ranks channels, measures the original's features, and checks that the target can be reached. @throws {UnreachableTargetError} says how near one gets */
export async function calibrate({ proto, analysis, sizeBytes }: Network, task: Task, options: CompressOptions, signal: AbortSignal, progress: (fraction: number) => void): Promise<Calibration> {
  const session = { threads: options.threads }, { seed } = options, cost = options.target.metric === 'macs' ? 'macs' : 'params';
  const imageElements = task.calibration.imageDims.reduce((a, b) => a * b, 1), chunk = Math.max(1, Math.min(64, Math.floor(6e6 / imageElements)));
  const feeds = (images: number) => chunked(task.calibration, task.input, images, chunk);
  const { axes, view } = analysis.structure.facts;
  const largest = Math.max(...view.nodes.flatMap(({ output }) => output.map((value) => (axes.shapeOf(value) ?? [1]).reduce((a, b) => a * b, 1))));
  const mostImages = Math.max(chunk, Math.floor(activationBytes / (largest * 4 * 2.2)));
  const ranked = await rankGroups(proto, analysis, feeds(Math.min(sizes.rank.images, mostImages)), { ...session, points: sizes.rank.points, seed, signal, progress });
  const space = new SearchSpace(analysis, ranked, cost, { minPreserve: options.minPreserve, roundTo: options.roundTo });
  const budget = budgetOf(options.target, proto, sizeBytes), nearest = space.costOf(space.least)[cost];
  if (nearest > budget) throw new UnreachableTargetError(`Target ${options.target.metric}=${budget} can't be reached: with every layer at its least width, ${nearest.toFixed(3)} of the original's ${cost} remain. Choose ${options.target.metric}=${(Math.ceil(nearest * 100) / 100).toFixed(2)} or more, or lower --min-preserve.`);
  const outputs = sumOver(analysis.layers, ({ weight, outAxis }) => axes.shapeOf(weight)?.[outAxis] ?? 1);
  const inputs = sumOver(analysis.layers, ({ weight, outAxis }) => { const dims = axes.shapeOf(weight) ?? [1]; return dims.reduce((a, b) => a * b, 1) / (dims[outAxis] ?? 1) + 1; });
  const targetsOf = ({ images, points }: { images: number; points: number }, offset: number, mostRows = featureBytes / (4 * outputs)): Promise<RefitTargets> =>
    refitTargets(proto, analysis, feeds(Math.min(images, mostImages, Math.max(chunk, mostRows / 4))), Math.max(1, Math.min(points, Math.floor(mostRows / Math.min(images, mostImages)))), seed + offset, session);
  const sequential = async (size: { images: number; points: number }, offset: number, fit: RefitOptions): Promise<Craft> => {
    const targets = await targetsOf(size, offset);
    return (pruned, kept) => sequentialRefit(pruned, kept, targets, fit);
  };
  const few = await targetsOf(sizes.quick, 1, Math.min(featureBytes / (4 * outputs), anchorBytes / (4 * inputs))), quickFit = { rounds: 1, ridge: 1e-3, grouped: false, signal };
  return {
    space, budget,
    quick: (pruned, kept) => sequentialRefit(pruned, kept, few, quickFit),
    near: async (anchor) => {
      const refit = await AnchoredRefit.prepare(proto, space.keptFor(anchor), few, quickFit);
      return (pruned, kept) => refit.refit(pruned, kept);
    },
    careful: () => sequential(sizes.careful, 2, { rounds: 2, ridge: 1e-4, grouped: true, signal }),
    thorough: () => sequential(sizes.thorough, 2, { rounds: 8, ridge: 1e-4, grouped: true, signal }),
  };
}

const sumOver = <T>(items: readonly T[], value: (item: T) => number): number => items.reduce((sum, item) => sum + value(item), 0);

/**
 * The fraction of the original's MACs or parameters that a target allows. A file is its weights and a graph that stays: the size left for weights
 * is what the graph leaves, and half a percent for names and biases that the repair adds.
 */
function budgetOf({ metric, value }: CompressOptions['target'], proto: Network['proto'], sizeBytes: number): number {
  if (metric !== 'size') return value;
  const weightBytes = proto.graph.initializer.reduce((sum, { rawData }) => sum + rawData.length, 0);
  return (value * sizeBytes - Math.max(0, sizeBytes - weightBytes)) / Math.max(1, weightBytes) - 0.005;
}

/** @throws {InputError} for options that this version does not carry out yet */
export function refuseUnsupported({ target, method }: CompressOptions): void {
  if (target.metric === 'latency' || target.metric === 'accuracy-drop') throw new InputError(`Target ${target.metric} is not available in this version; use macs=R, params=R or size=R, such as macs=0.5.`);
  if (method === 'weights') throw new InputError('Method weights is not available in this version; use --method channels.');
}
