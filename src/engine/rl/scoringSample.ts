import { type Assessment, type Difference, type Judge, type Outcomes, assessmentOf, rewardOf } from '../evaluation/judge.ts';

/** Strata of images; images of each that are looked at in any case, or all of it. */
const strataCount = 20, fewest = 10;


interface Stratum { /** How many images it has. */ readonly size: number; /** Those that are looked at. */ readonly images: readonly number[] }

/**
 * The images on which candidates are scored, the same ones for all, and what is concluded from them about all images. Most images of a good classifier are right
 * with every candidate and tell nothing; so images are put in strata by how sure the original is of the right answer, and more are taken from strata in which
 * trial candidates differ from the original by more (Neyman's optimal allocation; Cochran, Sampling Techniques, 5.5). A candidate's score is the original's on
 * all images plus the mean of the differences in the strata, weighted by their shares: without bias, and with the original as control variate.
 */
export class ScoringSample {
  /** Numbers of the images, in the order in which they are looked at: any first part of them is such a sample as well. */
  readonly images: Int32Array;
  private readonly strata: readonly Stratum[];
  /** Stratum of each of `images`. */
  private readonly stratumOf: Int32Array;
  private readonly original: Outcomes;
  private readonly whole: Assessment;

  private constructor(judge: Judge, strata: readonly Stratum[]) {
    const placed = strata.flatMap(({ images }, stratum) => images.map((image, i) => ({ image, stratum, at: (i + 0.5) / images.length }))).sort((a, b) => a.at - b.at || a.stratum - b.stratum);
    this.images = Int32Array.from(placed, ({ image }) => image);
    this.stratumOf = Int32Array.from(placed, ({ stratum }) => stratum);
    this.strata = strata;
    this.whole = assessmentOf(judge.reference);
    this.original = { right: Float32Array.from(this.images, (image) => judge.reference.right[image]!), probability: Float32Array.from(this.images, (image) => judge.reference.probability[image]!) };
  }

  /** The first images. */
  static first(judge: Judge, count: number): ScoringSample {
    return new ScoringSample(judge, [{ size: judge.images.count, images: Array.from({ length: Math.min(count, judge.images.count) }, (_, i) => i) }]);
  }

  /** @param trials how some candidates did on the first images */
  static stratified(judge: Judge, trials: readonly Outcomes[], count: number): ScoringSample {
    const { reference, images: { count: all } } = judge;
    if (count >= all || all < strataCount * fewest) return ScoringSample.first(judge, count);
    const byCertainty = Array.from({ length: all }, (_, image) => image).sort((a, b) => reference.probability[a]! - reference.probability[b]! || a - b);
    const members = Array.from({ length: strataCount }, (_, i) => byCertainty.slice(Math.floor((i * all) / strataCount), Math.floor(((i + 1) * all) / strataCount)).sort((a, b) => a - b));
    const spreads = members.map((images) => spreadOf(images.flatMap((image) => trials.flatMap(({ right, probability }) =>
      (image < right.length ? [(right[image]! - reference.right[image]! + probability[image]! - reference.probability[image]!) / 2] : [])))));
    const taken = allocateImages(members.map(({ length }) => length), spreads, count);
    return new ScoringSample(judge, members.map((images, i) => ({ size: images.length, images: images.slice(0, taken[i]) }))); // images are in random order as they come
  }

  /** Differences of `mine` from `others` (the original when absent) over all images, estimated from those that `mine` has seen. */
  difference(mine: Outcomes, others: Outcomes = this.original): Difference {
    const sums = this.strata.map(() => ({ seen: 0, accuracy: 0, reward: 0, square: 0 }));
    for (let i = 0; i < mine.right.length; i++) {
      const sum = sums[this.stratumOf[i]!]!, right = mine.right[i]! - others.right[i]!, both = (right + mine.probability[i]! - others.probability[i]!) / 2;
      sum.seen++;
      sum.accuracy += right;
      sum.reward += both;
      sum.square += both * both;
    }
    const known = sums.reduce((total, { seen }, i) => total + (seen > 0 ? this.strata[i]!.size : 0), 0);
    let accuracy = 0, reward = 0, variance = 0;
    sums.forEach(({ seen, ...sum }, i) => {
      if (seen === 0) return;
      const { size } = this.strata[i]!, share = size / known;
      accuracy += (share * sum.accuracy) / seen;
      reward += (share * sum.reward) / seen;
      variance += (share ** 2 * Math.max(0, sum.square / seen - (sum.reward / seen) ** 2) * (1 - seen / size)) / seen; // of all images, of which these are a part
    });
    return { accuracy, reward, standardError: Math.sqrt(variance) };
  }

  /** What a network with these outcomes would get on all images: accuracy, and half of it and half the mean probability of the right answers, which is not cut to [0, 1], so that it still tells candidates apart. */
  estimate(outcomes: Outcomes): { accuracy: number; reward: number } {
    const { accuracy, reward } = this.difference(outcomes);
    return { accuracy: asFraction(this.whole.accuracy + accuracy), reward: rewardOf(this.whole) + reward };
  }
}

/** An estimate of a fraction: differences of few images can lead beyond what is possible. */
export const asFraction = (value: number): number => Math.min(1, Math.max(0, value));

function spreadOf(values: readonly number[]): number {
  const mean = values.reduce((a, b) => a + b, 0) / Math.max(1, values.length);
  return Math.sqrt(values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / Math.max(1, values.length));
}

/** How many of each stratum to take: in proportion to size times spread, at least `fewest`, at most all of it. */
function allocateImages(sizes: readonly number[], spreads: readonly number[], count: number): number[] {
  const taken = sizes.map((size) => Math.min(size, fewest)), wanted = sizes.map((size, i) => size * spreads[i]!);
  for (;;) {
    const left = count - taken.reduce((a, b) => a + b, 0), open = wanted.map((weight, i) => (taken[i]! < sizes[i]! ? weight : 0)), total = open.reduce((a, b) => a + b, 0);
    if (left <= 0 || total <= 0) return taken;
    const more = open.map((weight, i) => Math.min(sizes[i]! - taken[i]!, Math.floor((left * weight) / total)));
    if (more.every((each) => each === 0)) return taken;
    more.forEach((each, i) => { taken[i]! += each; });
  }
}
