/**
 * How well quick scores order candidates as finished models would: node scripts/run.mjs bench/ranking.ts NETWORK... [--target macs=0.5] [--method channels|weights] [--candidates 40] [--finish thorough|careful]
 * For each way of scoring: seconds a candidate, and Spearman's and Pearson's correlation of the reward with the accuracy of the same choice made
 * thoroughly (or carefully, as policies are compared), on all of val5k. Candidates: the first guesses, the hand-made policies, what a search would try around the best of them, and random ones.
 * Finished accuracies are kept in bench/out and not measured again. Then how far the difference between two candidates, estimated from some of the images, is from
 * that on all of them: for the first images as they come, and for those that the search chooses.
 */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { calibrate } from '../src/engine/flow/calibrate.ts';
import { openNetwork } from '../src/engine/flow/network.ts';
import { openTask } from '../src/engine/flow/task.ts';
import { chunked } from '../src/engine/evaluation/samples.ts';
import { Random } from '../src/engine/numerics/random.ts';
import { parseCompressOptions, parseTarget } from '../src/engine/protocol.ts';
import { AnchoredRefit } from '../src/engine/reconstruction/anchoredRefit.ts';
import { refitTargets } from '../src/engine/reconstruction/refitTargets.ts';
import { type RowBudget, memoryLimits } from '../src/engine/reconstruction/rowBudget.ts';
import { sequentialRefit } from '../src/engine/reconstruction/sequentialRefit.ts';
import { allocate, fillBudget } from '../src/engine/rl/allocation.ts';
import type { Outcomes } from '../src/engine/evaluation/judge.ts';
import { CandidateJudge, type Craft } from '../src/engine/rl/candidateJudge.ts';
import { ScoringSample } from '../src/engine/rl/scoringSample.ts';
import { handMade, scaleToBudget } from '../src/engine/rl/policies.ts';
import type { Counts, SearchSpace } from '../src/engine/rl/searchSpace.ts';

const args = process.argv.slice(2), option = (name: string, fallback: string): string => (args.includes(name) ? args[args.indexOf(name) + 1]! : fallback);
const target = option('--target', 'macs=0.5'), method = option('--method', 'channels') as 'channels' | 'weights', finish = option('--finish', 'thorough') as 'thorough' | 'careful', wanted = Number(option('--candidates', '40'));
const names = args.filter((arg, i) => !arg.startsWith('--') && !args[i - 1]?.startsWith('--'));
const signal = new AbortController().signal;

/** Choices of many kinds at one budget. */
function candidates(space: SearchSpace, budget: number, count: number): Counts[] {
  const random = new Random(20260101), found = new Map<string, Counts>();
  const add = (counts: Counts | undefined): void => { if (counts) found.set(counts.join(), counts); };
  for (const policy of ['uniform', 'shallow', 'deep'] as const) add(handMade(space, policy, budget));
  const guesses = [0.5, 0.75, 1, 1.5, 2].flatMap((exponent) => { const counts = allocate(space, budget, exponent); return counts ? [fillBudget(space, counts, budget, exponent)] : []; });
  guesses.forEach(add);
  const bases = [...found.values()];
  while (found.size < count) {
    const base = space.ratiosOf(bases[random.integer(bases.length)]!), spread = [0.05, 0.1, 0.2, 0.4][random.integer(4)]!;
    const shape = base.map((ratio) => (random.uniform() < 0.4 ? Math.min(1, Math.max(0.05, ratio + spread * random.normal())) : ratio));
    add(fillBudget(space, scaleToBudget(space, shape, budget)!, budget, 1));
  }
  return [...found.values()].slice(0, count);
}

function pearson(a: readonly number[], b: readonly number[]): number {
  const mean = (values: readonly number[]): number => values.reduce((x, y) => x + y, 0) / values.length, ma = mean(a), mb = mean(b);
  let ab = 0, aa = 0, bb = 0;
  a.forEach((x, i) => { ab += (x - ma) * (b[i]! - mb); aa += (x - ma) ** 2; bb += (b[i]! - mb) ** 2; });
  return ab / Math.sqrt(aa * bb);
}
const ranks = (values: readonly number[]): number[] => values.map((value) => values.filter((other) => other < value).length + (values.filter((other) => other === value).length - 1) / 2);
const spearman = (a: readonly number[], b: readonly number[]): number => pearson(ranks(a), ranks(b));

interface Way { readonly anchored?: boolean; readonly images: number; readonly points: number; readonly rounds: number; readonly ridge: number; readonly scored: number }
const ways: Way[] = JSON.parse(option('--ways', JSON.stringify([
  { anchored: true, images: 512, points: 8, rounds: 2, ridge: 1e-3, scored: 1000 },
  { anchored: true, images: 512, points: 8, rounds: 2, ridge: 1e-3, scored: 2000 },
  { anchored: true, images: 1024, points: 8, rounds: 2, ridge: 1e-3, scored: 2000 },
  { images: 256, points: 8, rounds: 1, ridge: 1e-3, scored: 1000 },
  { images: 512, points: 8, rounds: 1, ridge: 1e-3, scored: 2000 },
  { images: 512, points: 8, rounds: 3, ridge: 1e-3, scored: 2000 },
  { images: 1024, points: 8, rounds: 1, ridge: 1e-3, scored: 2000 },
  { images: 1024, points: 12, rounds: 3, ridge: 1e-3, scored: 2000 },
]))) as Way[];

const rowBudget = (images: number, points: number): RowBudget => ({ rows: images * points, perColumn: 1.5, points, mostImages: 6000, ...memoryLimits });

for (const name of names) {
  const options = parseCompressOptions({ model: `../shared/models/cifar10/${name}.onnx`, val: '../shared/data/cifar10/val5k.npz', calibration: '../shared/data/cifar10/train10k.npz', target: parseTarget(target), method });
  const network = await openNetwork(options.model), task = await openTask(network, options, signal);
  const { space, goal: { limits: [{ budget }] }, [finish]: finishing } = await calibrate(network, task, options, signal, () => undefined);
  const judge = new CandidateJudge(network.proto, space, task.judge), choices = candidates(space, budget, wanted);
  mkdirSync('bench/out', { recursive: true });
  const file = `bench/out/ranking-${name}-${target}-${method}-${finish}.json`, known = existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')) as Record<string, number> : {};
  let craft: Craft | undefined;
  const start = performance.now();
  for (const counts of choices) {
    if (known[counts.join()] === undefined) {
      craft ??= await finishing();
      known[counts.join()] = await task.judge.accuracy(await judge.make(counts, craft));
      writeFileSync(file, JSON.stringify(known));
    }
  }
  const anchorCounts = method === 'weights' ? space.full : fillBudget(space, allocate(space, budget, 1)!, budget, 1);
  const finished = choices.map((counts) => known[counts.join()]!);
  console.log(`${name} ${target} ${method}, finished ${finish === 'careful' ? 'carefully' : 'thoroughly'}: ${choices.length} candidates, finished accuracy ${(100 * Math.min(...finished)).toFixed(2)} to ${(100 * Math.max(...finished)).toFixed(2)}, ${((performance.now() - start) / 1000).toFixed(0)} s`);
  for (const { anchored, images, points, rounds, ridge, scored } of ways) {
    const started = performance.now(), fit = { rounds, ridge, grouped: false };
    const targets = await refitTargets(network.proto, network.analysis, chunked(task.calibration, task.calibration.count, 64), rowBudget(images, points), 1, { firstLayers: method === 'weights' });
    const anchor = anchored ? await AnchoredRefit.prepare(network.proto, { kept: space.keptFor(anchorCounts), densities: space.densitiesFor(anchorCounts) }, space.orders, targets, fit) : undefined;
    const quick: Craft = anchor ? (prune, kept, densities) => anchor.refit(prune(anchor.replaced), { kept, densities }) : (prune, kept, densities) => sequentialRefit(prune(), kept, targets, { ...fit, densities });
    const preparing = (performance.now() - started) / 1000;
    let refitSeconds = 0, judgeSeconds = 0;
    const rewards: number[] = [], accuracies: number[] = [];
    for (const counts of choices) {
      const from = performance.now(), model = await judge.make(counts, quick), made = performance.now();
      const { accuracy, probability } = await task.judge.assess(model, scored);
      refitSeconds += (made - from) / 1000;
      judgeSeconds += (performance.now() - made) / 1000;
      rewards.push((accuracy + probability) / 2);
      accuracies.push(accuracy);
    }
    const top = rewards.map((reward, i) => ({ reward, finished: finished[i]! })).sort((a, b) => b.reward - a.reward);
    console.log(`  ${anchored ? 'anchored' : 'sequential'}, ${images} images x ${points}, ${rounds} rounds, ridge ${ridge}, scored on ${scored}: Spearman ${spearman(rewards, finished).toFixed(3)} (accuracy ${spearman(accuracies, finished).toFixed(3)}), Pearson ${pearson(rewards, finished).toFixed(3)}; best of the first 3: ${(100 * Math.max(...top.slice(0, 3).map((each) => each.finished))).toFixed(2)}; prepared in ${preparing.toFixed(1)} s, refit ${(refitSeconds / choices.length).toFixed(2)} s, judging ${(judgeSeconds / choices.length).toFixed(2)} s`);
  }

  const targets = await refitTargets(network.proto, network.analysis, chunked(task.calibration, task.calibration.count, 64), rowBudget(512, 8), 1, { firstLayers: method === 'weights' }), fit = { rounds: 1, ridge: 1e-3, grouped: false };
  const anchor = await AnchoredRefit.prepare(network.proto, { kept: space.keptFor(anchorCounts), densities: space.densitiesFor(anchorCounts) }, space.orders, targets, fit);
  const all = ScoringSample.first(task.judge, task.judge.images.count), outcomes: Outcomes[] = [];
  for (const counts of choices) outcomes.push((await judge.score(counts, (prune, kept, densities) => anchor.refit(prune(anchor.replaced), { kept, densities }), all)).outcomes);
  const seenBy = ({ images }: ScoringSample, { right, probability }: Outcomes): Outcomes => ({ right: Float32Array.from(images, (i) => right[i]!), probability: Float32Array.from(images, (i) => probability[i]!) });
  const near = outcomes.map((each, i) => ({ each, reward: all.estimate(each).reward, i })).sort((a, b) => b.reward - a.reward).slice(0, 15).map(({ each }) => each);
  const errorOf = (sample: ScoringSample, among: readonly Outcomes[]): number => {
    const errors = among.flatMap((a, i) => among.slice(i + 1).map((b) => sample.difference(seenBy(sample, a), seenBy(sample, b)).reward - all.difference(a, b).reward));
    return Math.sqrt(errors.reduce((sum, error) => sum + error ** 2, 0) / errors.length);
  };
  for (const count of [300, 500, 1000, 2000, 5000]) {
    const samples = { 'the first': ScoringSample.first(task.judge, count), chosen: ScoringSample.stratified(task.judge, outcomes.slice(3, 6).map((each) => seenBy(ScoringSample.first(task.judge, 1000), each)), count) };
    console.log(`  ${count} images: ${Object.entries(samples).map(([kind, sample]) => `${kind} ${(100 * errorOf(sample, outcomes)).toFixed(2)} points (best 15: ${(100 * errorOf(sample, near)).toFixed(2)}), Spearman ${spearman(outcomes.map((each) => sample.estimate(seenBy(sample, each)).reward), finished).toFixed(3)}`).join('; ')}: root mean square error of a difference, and order against finished accuracy`);
  }
}
