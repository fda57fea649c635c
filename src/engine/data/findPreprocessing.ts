import { CancelledError } from '../errors.ts';
import type { ImageDataset, RawImage } from './dataset.ts';
import { applyPreprocessing, fitImage, inputSizeOf, layoutOf, type Preprocessing } from './preprocessing.ts';
import { candidateRecipes, describePreprocessing } from './recipes.ts';
import { evenSubset, stratifiedSubset } from './subset.ts';

/** Judges a preprocessed batch: larger is better. With labels, e.g. accuracy; without, e.g. the model's mean confidence. */
export type BatchScorer = (batch: Float32Array, labels: Int32Array | undefined) => Promise<number>;

interface Scored { readonly recipe: Preprocessing; readonly score: number }
export interface FoundPreprocessing extends Scored {
  /** For people: "CIFAR-10 mean and std, RGB". */
  readonly description: string;
  /** How many images it was judged on. */
  readonly images: number;
  /** All that were tried, with their scores on the first, small sample, best first. */
  readonly tried: readonly Scored[];
}
export interface FindOptions {
  /** Images on which the best recipes are compared. Default 1024. */
  readonly count?: number;
  /** Images on which all recipes are compared. Default 128. */
  readonly firstCount?: number;
  readonly seed?: number;
  readonly signal?: AbortSignal;
}

const geometries = ['shorter-side', 'stretch'] as const;
const chunkImages = 16, finalists = 5;

/** Some images at the input's size, brought there in each way. */
interface Sample { readonly fitted: Readonly<Record<Preprocessing['resize'], readonly RawImage[]>>; readonly labels: Int32Array | undefined; readonly resized: boolean }

async function readSample(dataset: ImageDataset, inputShape: readonly number[], size: number, seed: number, checkCancelled: () => void): Promise<Sample> {
  const { height, width } = inputSizeOf(inputShape, layoutOf(inputShape));
  const indices = dataset.labels ? stratifiedSubset(dataset.labels, size, seed) : evenSubset(dataset.count, size);
  const fitted: Record<Preprocessing['resize'], RawImage[]> = { 'shorter-side': [], stretch: [] };
  let resized = false;
  for (let at = 0; at < indices.length; at += chunkImages) { // a few at a time: photographs are much larger than inputs
    checkCancelled();
    for (const image of await dataset.read(indices.slice(at, at + chunkImages))) {
      resized ||= image.height !== height || image.width !== width;
      for (const resize of geometries) fitted[resize].push(fitImage(image, { resize, cropRatio: 0.875 }, height, width));
    }
  }
  return { fitted, resized, labels: dataset.labels && Int32Array.from(indices, (i) => dataset.labels![i]!) };
}

/**
 * Finds how images have to be prepared for a model by trying the usual recipes: all of them on a small sample that holds every class in
 * proportion, then the few best on a larger one. Equal scores: the more usual recipe.
 * @param inputShape of the model, [N, C, H, W] or [N, H, W, C]
 */
export async function findPreprocessing(dataset: ImageDataset, inputShape: readonly number[], score: BatchScorer, { count = 1024, firstCount = 128, seed = 0, signal }: FindOptions = {}): Promise<FoundPreprocessing> {
  const checkCancelled = (): void => { if (signal?.aborted) throw new CancelledError(); };
  const judge = async (recipes: readonly Preprocessing[], { fitted, labels }: Sample): Promise<Scored[]> => {
    const scored: Scored[] = [];
    for (const recipe of recipes) {
      checkCancelled();
      const value = await score(applyPreprocessing(fitted[recipe.resize], recipe, inputShape), labels);
      scored.push({ recipe, score: Number.isNaN(value) ? -Infinity : value });
    }
    return scored.sort((a, b) => b.score - a.score); // stable: equal scores keep the order of preference
  };
  const small = await readSample(dataset, inputShape, firstCount, seed, checkCancelled);
  const recipes = candidateRecipes(small.fitted.stretch, inputShape, small.resized);
  const tried = await judge(recipes.filter(({ resize }) => resize === recipes[0]!.resize), small);
  const shortlist = new Set(tried.slice(0, finalists).map(({ recipe }) => `${recipe.name} ${recipe.channelOrder}`));
  const chosen = recipes.filter((recipe) => shortlist.has(`${recipe.name} ${recipe.channelOrder}`));
  const large = dataset.count > firstCount && chosen.length > 1 ? await readSample(dataset, inputShape, count, seed, checkCancelled) : small;
  const best = (await judge(chosen, large))[0]!;
  return { ...best, description: describePreprocessing(best.recipe, small.resized || large.resized), images: large.fitted.stretch.length, tried };
}
