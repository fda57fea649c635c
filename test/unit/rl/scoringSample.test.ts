import { beforeAll, describe, expect, it } from 'vitest';
import { Judge, type Outcomes, assessmentOf } from '../../../src/engine/evaluation/judge.ts';
import { Random } from '../../../src/engine/numerics/random.ts';
import { loadModel } from '../../../src/engine/onnx/modelFile.ts';
import { ScoringSample } from '../../../src/engine/rl/scoringSample.ts';

const count = 2000;
let judge: Judge;

beforeAll(async () => {
  const { proto } = await loadModel('examples/resnet20.onnx'), random = new Random(8);
  const pixels = Float32Array.from({ length: count * 3072 }, () => 0.3 * random.normal());
  judge = await Judge.create(proto, { inputs: [{ name: proto.graph.input[0]!.name, type: 'float32', dims: [3, 32, 32], data: pixels }], count }, 'agreement');
});

/** Outcomes of a made-up candidate that differs from the original where that is least sure, by `damage`. */
function candidate(damage: number, seed: number): Outcomes {
  const random = new Random(seed), { reference } = judge;
  const unsure = reference.probability.toSorted()[count / 5]!;
  const doubt = reference.probability.map((probability) => damage * Math.max(0, 1 - probability / unsure) * 4 * random.uniform());
  return { right: reference.right.map((right, i) => (random.uniform() < doubt[i]! ? 0 : right)), probability: reference.probability.map((probability, i) => Math.max(0, probability - doubt[i]! / 2)) };
}
const on = ({ images }: ScoringSample, { right, probability }: Outcomes): Outcomes => ({ right: Float32Array.from(images, (i) => right[i]!), probability: Float32Array.from(images, (i) => probability[i]!) });
const rewardOf = (outcomes: Outcomes): number => { const { accuracy, probability } = assessmentOf(outcomes); return (accuracy + probability) / 2; };
const rootMeanSquare = (values: readonly number[]): number => Math.sqrt(values.reduce((sum, value) => sum + value ** 2, 0) / values.length);

describe('images on which candidates are scored', () => {
  it('give the exact result where they are all the images', () => {
    const outcomes = candidate(0.5, 1), sample = ScoringSample.stratified(judge, [candidate(0.4, 2)], count);
    expect(sample.images).toHaveLength(count);
    expect(sample.estimate(on(sample, outcomes)).reward).toBeCloseTo(rewardOf(outcomes), 5);
    expect(sample.estimate(on(sample, outcomes)).accuracy).toBeCloseTo(assessmentOf(outcomes).accuracy, 5);
  });

  it('are different ones, as many as asked for, with some of every stratum in any first part', () => {
    const { images } = ScoringSample.stratified(judge, [candidate(0.5, 1)], 400);
    expect(new Set(images).size).toBe(images.length);
    expect(images.length).toBeGreaterThan(380);
    expect(images.length).toBeLessThanOrEqual(400);
    const ranks = new Map([...judge.reference.probability.keys()].sort((a, b) => judge.reference.probability[a]! - judge.reference.probability[b]! || a - b).map((image, rank) => [image, rank]));
    const strata = new Set(Array.from(images.subarray(0, 80), (image) => Math.floor((ranks.get(image)! * 20) / count)));
    expect(strata.size).toBe(20);
  });

  it('estimate no accuracy below none for networks that are all but destroyed', () => {
    const none = { right: new Float32Array(count), probability: new Float32Array(count) }, raw: number[] = [];
    for (const seed of [1, 2, 3, 4, 5, 6]) {
      const random = new Random(seed), reference = { ...judge.reference, right: judge.reference.right.map(() => Number(random.uniform() < 0.6)) }; // an original that is wrong at times
      const sample = ScoringSample.stratified(Object.create(judge, { reference: { value: reference } }) as Judge, [candidate(0.5, 1)], 300);
      raw.push(assessmentOf(reference).accuracy + sample.difference(on(sample, none)).accuracy);
      expect(sample.estimate(on(sample, none)).accuracy).toBeCloseTo(Math.max(0, raw.at(-1)!), 9);
    }
    expect(Math.min(...raw)).toBeLessThan(-0.001);
  });

  it('tell candidates apart better than as many that come first, without bias, and know how well', () => {
    const trials = [1, 2, 3].map((seed) => candidate(0.5, seed)), chosen = ScoringSample.stratified(judge, trials, 400), first = ScoringSample.first(judge, 400);
    const errors = (sample: ScoringSample): number[] => Array.from({ length: 60 }, (_, i) => {
      const a = candidate(0.2 + 0.01 * i, 100 + i), b = candidate(0.8 - 0.01 * i, 300 + i);
      return sample.difference(on(sample, a), on(sample, b)).reward - (rewardOf(a) - rewardOf(b));
    });
    expect(rootMeanSquare(errors(chosen))).toBeLessThan(0.8 * rootMeanSquare(errors(first)));
    const a = candidate(0.5, 7), b = candidate(0.6, 8), { standardError } = chosen.difference(on(chosen, a), on(chosen, b));
    expect(standardError).toBeGreaterThan(0.5 * rootMeanSquare(errors(chosen)));
    expect(standardError).toBeLessThan(2 * rootMeanSquare(errors(chosen)));
  });
});
