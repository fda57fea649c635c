import { describe, expect, it } from 'vitest';
import { UnreachableTargetError } from '../../../src/engine/errors.ts';
import { checkReachable } from '../../../src/engine/flow/goal.ts';
import { findStartingPoint, rebuildGuaranteed } from '../../../src/engine/flow/guarantee.ts';
import type { Judged } from '../../../src/engine/flow/search.ts';
import { loadModel } from '../../../src/engine/onnx/modelFile.ts';
import { analyse } from '../../../src/engine/pruning/analysis.ts';
import type { ThinnableLayer } from '../../../src/engine/reconstruction/rankWeights.ts';
import { smallestWithin } from '../../../src/engine/rl/objective.ts';
import type { Counts } from '../../../src/engine/rl/searchSpace.ts';
import { WeightSpace } from '../../../src/engine/rl/weightSpace.ts';

const { proto } = await loadModel('examples/resnet20.onnx'), analysis = await analyse(proto);
const layers = analysis.layers.map((layer): ThinnableLayer => ({ layer, weights: layer.params, density: 1, error: Float64Array.from({ length: 257 }, (_, gone) => (gone / 256) ** 3) }));
const space = new WeightSpace(analysis, layers, [{ cost: 'params', budget: 1 }], { minPreserve: 0.1 });
/** An accuracy that is known: 0.9 less what is gone, cubed. */
const accuracyOf = (counts: Counts, gain = 0): number => Math.min(0.9, 0.9 - 0.3 * (1 - space.spent(counts)) ** 3 + (space.spent(counts) < 1 ? gain : 0));
const judged = (policy: string, counts: Counts, reward = 0): Judged => ({ policy, counts, candidate: { episode: 1, ...space.costOf(counts), accuracy: accuracyOf(counts), reward, preserve: space.ratiosOf(counts) } });
const uniform = (share: number): Counts => space.full.map((_, i) => space.countFor(i, share));
const madeWith = (accuracy: number) => Promise.resolve({ accuracy, model: () => Promise.resolve(proto) });
/** Made thoroughly, what is known; made carefully, a hundredth less. */
const makeBy = (accuracy: (counts: Counts) => number) => ({ careful: (counts: Counts) => madeWith(accuracy(counts) - 0.01), thorough: (counts: Counts) => madeWith(accuracy(counts)) });
const make = makeBy(accuracyOf);

describe('guaranteed accuracy', () => {
  it('starts at the least budget whose allocation keeps it, and trusts what making it well gains', async () => {
    const probe = { quick: (counts: Counts) => Promise.resolve(accuracyOf(counts)), thorough: (counts: Counts) => Promise.resolve(accuracyOf(counts, 0.01)) };
    const { budget, quickFloor } = await findStartingPoint(space, 0.02, probe);
    expect(quickFloor).toBeCloseTo(0.9 - 0.02 - 0.01, 9);
    const exact = 1 - (0.03 / 0.3) ** (1 / 3);
    expect(budget).toBeGreaterThan(exact - 0.02);
    expect(budget).toBeLessThan(exact * 1.1);
  });

  it('makes a leader narrower until it just keeps the guarantee, and one that breaks it wider', async () => {
    const exact = 1 - (0.02 / 0.3) ** (1 / 3);
    for (const share of [0.8, 0.5]) {
      let thorough = 0;
      const counting = { ...make, thorough: (counts: Counts) => { thorough++; return make.thorough(counts); } };
      const { winner, standings } = await rebuildGuaranteed(space, [judged('agent', uniform(share))], [], 0.88, counting, () => undefined);
      expect(thorough).toBeLessThanOrEqual(3); // where to look is told by light repairs
      expect(winner.accuracy).toBeGreaterThanOrEqual(0.88);
      expect(space.spent(winner.counts)).toBeGreaterThan(exact * 0.97);
      expect(space.spent(winner.counts)).toBeLessThan(exact * 1.04);
      expect(standings.get('agent')?.accuracy).toBeCloseTo(winner.accuracy - 0.01, 12);
    }
  });

  it('tells how far it is, also while it walks with one choice', async () => {
    const told: number[] = [];
    await rebuildGuaranteed(space, [judged('agent', uniform(0.8))], [judged('uniform', uniform(0.5)), judged('deep', uniform(0.6))], 0.88, make, (fraction) => { told.push(fraction); });
    expect(told.filter((fraction) => fraction < 0.5).length).toBeGreaterThan(2);
    expect(told).toEqual([...told].sort((a, b) => a - b));
    expect(told.at(-1)).toBe(1);
  });

  it('gives the baselines the same chance', async () => {
    const [a, b] = layers.map((_, i) => i).sort((i, j) => layers[j]!.weights - layers[i]!.weights) as [number, number]; // two layers that are alike
    const better = makeBy((counts) => (Math.abs(counts[a]! - counts[b]!) < 20 ? Math.max(0.89, accuracyOf(counts)) : accuracyOf(counts))); // equal shares do better here
    const { winner, standings, baselines } = await rebuildGuaranteed(space, [judged('agent', uniform(0.7).with(a, 250))], [judged('uniform', uniform(0.7))], 0.88, better, () => undefined);
    expect(winner.policy).toBe('uniform');
    // the table compares what is repaired alike, the agent at the winner's cost
    expect([...standings.keys()]).toEqual(['agent', 'uniform']);
    expect(standings.get('uniform')).toEqual({ counts: winner.counts, accuracy: winner.accuracy - 0.01 });
    const { counts, accuracy } = standings.get('agent')!;
    expect(space.spent(counts)).toBeLessThanOrEqual(space.spent(winner.counts));
    expect(space.spent(counts)).toBeGreaterThan(space.spent(winner.counts) - 0.01);
    expect(accuracy).toBe((await better.careful(counts)).accuracy);
    expect(baselines.map(({ policy, candidate: { macs, accuracy: own } }) => [policy, macs, own])).toEqual([['uniform', space.costOf(winner.counts).macs, winner.accuracy - 0.01]]);
  });

  it('writes nothing that breaks it: says how near one gets', async () => {
    const bad = makeBy((counts) => (space.spent(counts) < 1 ? 0.5 : 0.9));
    await expect(rebuildGuaranteed(space, [judged('agent', uniform(0.7))], [judged('uniform', uniform(0.7))], 0.88, bad, () => undefined)).rejects.toThrow(UnreachableTargetError);
    await expect(rebuildGuaranteed(space, [judged('agent', uniform(0.7))], [], 0.88, bad, () => undefined)).rejects.toThrow(/38\.00 points below/);
  });

  it.each([0.1, 5])('says what is possible, where that is anything, with --min-preserve %f', async (minPreserve) => {
    const narrow = new WeightSpace(analysis, layers, [{ cost: 'params', budget: 1 }], { minPreserve }), nothing = minPreserve === 5;
    expect(() => { checkReachable({ limits: [{ asked: { metric: 'params', value: 0.01 }, cost: 'params', budget: 0.01 }] }, narrow); }).toThrow(nothing ? /1\.000 of the original's params remain\. Nothing smaller than the original is possible unless --min-preserve is lowered\./ : /Choose params=0\.02 or more/);
    if (nothing) await expect(rebuildGuaranteed(narrow, [judged('agent', narrow.full)], [], 0.88, make, () => undefined)).rejects.toThrow(/No smaller network can be made.*Lower --min-preserve/);
  });

  it('pays for size alone within the guarantee, and for -Error * log(cost) beyond it', () => {
    const objective = smallestWithin(0.1, 'macs', 1e6), at = (accuracy: number, macs: number): number => objective({ accuracy, reward: 0, images: 1 }, { macs, params: 1 });
    expect(at(0.95, 0.5)).toBe(at(0.9, 0.5));
    expect(at(0.9, 0.4)).toBeGreaterThan(at(0.95, 0.5));
    expect(at(0.8, 0.5)).toBeCloseTo(-0.2 * Math.log(5e5), 12);
    expect(at(0.8, 0.5)).toBeLessThan(at(0.9, 0.9));
  });
});
