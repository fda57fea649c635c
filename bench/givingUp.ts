/**
 * How often candidates are given up early, and how many of the images they are looked at: node scripts/run.mjs bench/givingUp.ts
 * Simulated: outcomes are drawn at random, those of two candidates around one made-up original. Nothing is timed and no model is run.
 */
import type { Judge, Outcomes } from '../src/engine/evaluation/judge.ts';
import { Random } from '../src/engine/numerics/random.ts';
import { confidence, stopsOf } from '../src/engine/rl/candidateJudge.ts';
import { ScoringSample } from '../src/engine/rl/scoringSample.ts';

const random = new Random(7), most = 10_000, scored = 500, trialImages = 1000;
const outcomesOf = (count: number, probabilityOf: (image: number) => number, by: Random): Outcomes => {
  const probability = Float32Array.from({ length: count }, (_, image) => probabilityOf(image));
  return { probability, right: probability.map((p) => Number(by.uniform() < p)) };
};
const part = ({ right, probability }: Outcomes, images: Int32Array): Outcomes => ({ right: Float32Array.from(images, (i) => right[i]!), probability: Float32Array.from(images, (i) => probability[i]!) });
const original = outcomesOf(most, () => random.uniform() ** 0.4, random);

/** Outcomes of a candidate that loses up to this share of each probability. */
const candidate = (count: number, loss: number, by: Random): Outcomes => outcomesOf(count, (image) => original.probability[image]! * (1 - loss * by.uniform()), by);

/** Makes the first as good as the second on all images. */
function level(own: Outcomes, other: Outcomes): void {
  const gap = own.right.reduce((sum, right, i) => sum + right - other.right[i]! + own.probability[i]! - other.probability[i]!, 0) / own.right.length;
  for (let i = 0; i < own.probability.length; i++) own.probability[i]! -= gap;
}

console.log('images  of them scored  candidate   given up  images looked at');
for (const count of [30, 60, 100, 1000, most]) {
  const images = Int32Array.from({ length: count }, (_, i) => i), judge = { reference: part(original, images), images: { count } } as Judge; // what a sample reads of it
  const trials = [0, 1, 2].map((seed) => part(candidate(count, 0.5, new Random(900 + seed)), images.subarray(0, trialImages))), sample = ScoringSample.stratified(judge, trials, scored), total = sample.images.length;
  for (const [name, loss] of [['as good', 0.5], ['worse', 0.6], ['far worse', 0.9]] as const) {
    const draws = count > 1000 ? 1000 : 3000;
    let givenUp = 0, looked = 0;
    for (let draw = 0; draw < draws; draw++) {
      const by = new Random(5000 + draw), own = candidate(count, loss, by), best = candidate(count, 0.5, by);
      if (name === 'as good') level(own, best);
      const mine = part(own, sample.images), rival = part(best, sample.images);
      const stop = stopsOf(total).find((to) => { const gap = sample.difference({ right: mine.right.subarray(0, to), probability: mine.probability.subarray(0, to) }, rival); return gap.reward + confidence * gap.standardError < 0; });
      givenUp += Number(stop !== undefined);
      looked += (stop ?? total) / total;
    }
    console.log(`${String(count).padStart(6)}  ${String(total).padStart(14)}  ${name.padEnd(9)}  ${`${(100 * givenUp / draws).toFixed(1)}%`.padStart(9)}  ${`${(100 * looked / draws).toFixed(0)}%`.padStart(16)}`);
  }
}
