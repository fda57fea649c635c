import { CancelledError, InputError } from '../errors.ts';
import type { ImageDataset, RawImage } from './dataset.ts';
import { applyPreprocessing, coveringSize, fitImage, inputSizeOf, layoutOf, type Preprocessing } from './preprocessing.ts';
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
  readonly seed?: number;
  readonly signal?: AbortSignal;
  /** What the model itself tells: taken unless another is much better. */
  readonly recorded?: Preprocessing | undefined;
}

const geometries = ['shorter-side', 'stretch'] as const;
const chunkImages = 8, cropRatio = 0.875;
/** Scores closer to the best than this fraction of it are taken for equal: about the noise between two recipes on 1,000 images. */
const equalWithin = 0.0075;
/** The same for the recipe that the model tells: one that is wrong, as for values stored in another way, loses more. */
const recordedWithin = 0.1;

/** Some images at the input's size, brought there in each way. */
interface Sample { readonly fitted: Readonly<Record<Preprocessing['resize'], readonly RawImage[]>>; readonly labels: Int32Array | undefined; readonly resized: boolean }

async function readSample(dataset: ImageDataset, inputShape: readonly number[], size: number, seed: number, checkCancelled: () => void): Promise<Sample> {
  const { height, width } = inputSizeOf(inputShape, layoutOf(inputShape));
  const indices = dataset.labels ? stratifiedSubset(dataset.labels, size, seed) : evenSubset(dataset.count, size);
  const fitted: Record<Preprocessing['resize'], RawImage[]> = { 'shorter-side': [], stretch: [] };
  let resized = false;
  for (let at = 0; at < indices.length; at += chunkImages) { // a few at a time: photographs are much larger than inputs
    checkCancelled();
    for (const image of await dataset.read(indices.slice(at, at + chunkImages), coveringSize({ cropRatio }, { height, width }))) {
      resized ||= image.height !== height || image.width !== width;
      for (const resize of geometries) fitted[resize].push(fitImage(image, { resize, cropRatio }, height, width));
    }
  }
  return { fitted, resized, labels: dataset.labels && Int32Array.from(indices, (i) => dataset.labels![i]!) };
}

/**
 * Finds how images have to be prepared for a model by trying the usual recipes on samples that hold every class in proportion: all on a
 * small one, the best four on a larger one, the best three of these on the largest. Scores that do not differ
 * clearly: the more usual recipe (the statistics of CIFAR-10 and CIFAR-100 are that close). A recipe that the model tells goes before all that are not much better.
 * @param inputShape of the model, [N, C, H, W] or [N, H, W, C]
 * @throws {InputError} for images with values above 255, of which no model tells how it takes them
 */
export async function findPreprocessing(dataset: ImageDataset, inputShape: readonly number[], score: BatchScorer, { seed = 0, signal, recorded }: FindOptions = {}): Promise<FoundPreprocessing> {
  const { height, width } = inputSizeOf(inputShape, layoutOf(inputShape));
  const [firstCount, ...rounds] = height * width <= 64 * 64 ? [64, 256, 1024] as const : [48, 128, 256] as const; // a large image costs a model more
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
  let sample = await readSample(dataset, inputShape, firstCount, seed, checkCancelled);
  let { resized } = sample;
  const recipes = candidateRecipes(sample.fitted.stretch, inputShape, resized);
  const told = recorded?.layout === layoutOf(inputShape) ? recorded : undefined;
  if (recipes.length === 0 && !told) throw new InputError(`The images of ${dataset.path} have values above 255, for which there is no usual recipe. Give one with --preprocess: {"scale":${(1 / 65535).toPrecision(6)}} brings 16 bits to 0 to 1.`);
  const tried = await judge(recipes.filter(({ resize }) => resize === recipes[0]!.resize), sample); // one way of resizing first
  let best = tried;
  for (const [i, count] of rounds.entries()) {
    const kept = best.slice(0, 4 - i).map(({ recipe }) => recipe);
    const sameValues = (a: Preprocessing, b: Preprocessing): boolean => a.name === b.name && a.channelOrder === b.channelOrder;
    const next = recipes.filter((recipe) => (best === tried ? kept.some((other) => sameValues(recipe, other)) : kept.includes(recipe)));
    if (dataset.count > sample.fitted.stretch.length) sample = await readSample(dataset, inputShape, count, seed, checkCancelled);
    resized ||= sample.resized;
    best = await judge(next, sample);
  }
  const [own] = told ? await judge([told], sample) : [], top = (best[0] ?? own)!.score;
  const near = ({ score: value }: Scored, fraction: number): boolean => value >= top - fraction * Math.abs(top);
  const usual = best.filter((each) => near(each, equalWithin)).sort((a, b) => recipes.indexOf(a.recipe) - recipes.indexOf(b.recipe))[0];
  const { recipe, score: found } = own && near(own, recordedWithin) ? own : usual!;
  return { recipe, score: found, description: describePreprocessing(recipe, resized), images: sample.fitted.stretch.length, tried };
}
