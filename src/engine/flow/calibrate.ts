import { UnreachableTargetError } from '../errors.ts';
import { chunked } from '../evaluation/taskData.ts';
import type { CompressOptions } from '../protocol.ts';
import { rankGroups } from '../reconstruction/calibration.ts';
import { type RefitOptions, SequentialRefit } from '../reconstruction/sequentialRefit.ts';
import type { Craft } from '../rl/candidateJudge.ts';
import { SearchSpace } from '../rl/searchSpace.ts';
import type { Network } from './network.ts';
import type { Task } from './task.ts';

/** What the search needs: the choices it has, how to make a candidate quickly, and how to make the final model well. */
export interface Calibration {
  readonly space: SearchSpace;
  /** Fraction of the original's cost that a choice may have. */
  readonly budget: number;
  readonly quick: Craft;
  /** Made when it is first needed: it takes more memory. */
  readonly thorough: () => Promise<Craft>;
}

/** Calibration images and points an image: for ranking, for scoring a candidate, for the final model. */
const sizes = { rank: { images: 1024, points: 10 }, quick: { images: 512, points: 8 }, thorough: { images: 4096, points: 12 } };
/** Bytes that the activations held by one refit may take, and the original's features at sampled positions. */
const activationBytes = 1e9, featureBytes = 4e8;

/** Ranks channels, measures the original's features, and checks that the target can be reached. @throws {UnreachableTargetError} says how near one gets */
export async function calibrate({ proto, analysis }: Network, task: Task, options: CompressOptions, signal: AbortSignal, progress: (fraction: number) => void): Promise<Calibration> {
  const session = { threads: options.threads }, { seed } = options;
  const imageElements = task.calibration.imageDims.reduce((a, b) => a * b, 1), chunk = Math.max(1, Math.min(64, Math.floor(6e6 / imageElements)));
  const feeds = (images: number) => chunked(task.calibration, task.input, images, chunk);
  const { axes, view } = analysis.structure.facts;
  const largest = Math.max(...view.nodes.flatMap(({ output }) => output.map((value) => (axes.shapeOf(value) ?? [1]).reduce((a, b) => a * b, 1))));
  const mostImages = Math.max(chunk, Math.floor(activationBytes / (largest * 4 * 2.2)));
  const ranked = await rankGroups(proto, analysis, feeds(Math.min(sizes.rank.images, mostImages)), { ...session, points: sizes.rank.points, seed, signal, progress });
  const cost = options.target.metric === 'macs' ? 'macs' : 'params';
  const space = new SearchSpace(analysis, ranked, cost, { minPreserve: options.minPreserve, roundTo: options.roundTo });
  const budget = options.target.value, nearest = space.costOf(space.least)[cost];
  if (nearest > budget) throw new UnreachableTargetError(`Target ${options.target.metric}=${budget} can't be reached: with every layer at its least width, ${nearest.toFixed(3)} of the original's ${cost} remain. Choose ${options.target.metric}=${(Math.ceil(nearest * 100) / 100).toFixed(2)} or more, or lower --min-preserve.`);
  const outputs = analysis.layers.reduce((sum, { weight, outAxis }) => sum + (axes.shapeOf(weight)?.[outAxis] ?? 1), 0), mostRows = featureBytes / (4 * outputs);
  const craft = async ({ images, points }: { images: number; points: number }, fit: Omit<RefitOptions, 'signal'>, offset: number): Promise<Craft> => ({
    refit: await SequentialRefit.prepare(proto, analysis, feeds(Math.min(images, mostImages, Math.max(chunk, mostRows / 4))), Math.max(1, Math.min(points, Math.floor(mostRows / Math.min(images, mostImages)))), seed + offset, session), options: { ...fit, signal },
  });
  const quick = await craft(sizes.quick, { rounds: 1, ridge: 1e-3, grouped: false }, 1);
  return { space, budget, quick, thorough: () => craft(sizes.thorough, { rounds: 8, ridge: 1e-4, grouped: true }, 2) };
}
