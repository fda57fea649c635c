import { describe, expect, it } from 'vitest';
import { loadModel } from '../../../src/engine/onnx/modelFile.ts';
import { analyse } from '../../../src/engine/pruning/analysis.ts';
import type { KeptUnits } from '../../../src/engine/pruning/types.ts';
import { allocate, fillBudget, withinBudget } from '../../../src/engine/rl/allocation.ts';
import { ChannelSpace, type ChannelSpaceOptions } from '../../../src/engine/rl/channelSpace.ts';
import { handMade } from '../../../src/engine/rl/policies.ts';
import { warmSearch } from '../../../src/engine/rl/search.ts';
import type { Counts, Limit } from '../../../src/engine/rl/searchSpace.ts';

const analysis = await analyse((await loadModel('examples/resnet20.onnx')).proto), removable = analysis.groups.map((group) => group.removable);
const ranked = analysis.groups.map((group) => ({ group, order: Array.from({ length: group.channels }, (_, i) => i), error: Float64Array.from({ length: group.channels + 1 }, (_, gone) => (gone / group.channels) ** 2) }));
/** Branches weigh the less the deeper they are. */
const shares = new Map(analysis.groups.filter((group) => group.removable).map(({ id }, i) => [id, 0.5 / (i + 1)]));
/** A machine whose kernels take as long for any part of 64 channels: only a branch that is gone saves time, 0.08 of it each. */
const blocks = (kept: KeptUnits): number => 1 - 0.08 * [...kept.values()].filter((units) => units.length === 0).length;
const space = (limit: Limit, more: Partial<ChannelSpaceOptions> = {}): ChannelSpace => new ChannelSpace(analysis, ranked, [limit], { minPreserve: 0.1, roundTo: 0, shares, ...more });
const byTime = space({ cost: 'latency', budget: 0.7 }, { removal: true, latency: blocks });
const gone = (counts: Counts): number[] => counts.flatMap((count, i) => (count === 0 ? [i] : []));

describe('choices that do without whole branches', () => {
  it('are not made where these may not go', () => {
    const bySize = space({ cost: 'macs', budget: 0.3 }, { removal: false });
    expect(bySize.least).toEqual(bySize.narrowest);
    for (const counts of [allocate(bySize, 0.3, 1, { byShare: true })!, withinBudget(bySize, bySize.full.map(() => 0), 0.3)!, bySize.least]) expect(gone(counts)).toEqual([]);
  });

  it('leave out the branches that weigh least, as many as the budget needs', () => {
    const counts = fillBudget(byTime, allocate(byTime, 0.7, 1, { byShare: true })!, 0.7, 1, { byShare: true });
    expect(byTime.spent(counts)).toBeLessThanOrEqual(0.7);
    expect(gone(counts)).toEqual(removable.flatMap((can, i) => (can ? [i] : [])).slice(-4));
    expect(counts.filter((count, i) => count !== 0 && count !== byTime.full[i])).toEqual([]); // nothing was given up in vain
    expect(allocate(byTime, 0.7, 1)).toBeUndefined(); // without whole branches it can't be done
    expect(handMade(byTime, 'uniform', 0.7)).toBeUndefined();
  });

  it('bring back what fits', () => {
    const all = byTime.full.map((count, i) => (removable[i] ? 0 : count)), counts = fillBudget(byTime, all, 0.7, 1, { byShare: true });
    expect(gone(counts)).toHaveLength(4);
    expect(counts[removable.indexOf(true)]).toBe(byTime.full[removable.indexOf(true)]); // the heaviest first
  });

  it('keep to what a policy leaves out and to the budget', () => {
    const first = removable.indexOf(true), counts = withinBudget(byTime, byTime.full.map((_, i) => (i === first ? 0 : 1)), 0.8)!;
    expect(byTime.spent(counts)).toBeLessThanOrEqual(0.8);
    expect(counts[first]).toBe(0);
    expect(withinBudget(byTime, byTime.full.map(() => 0.01), 1)).not.toContain(0); // narrow is not gone
  });

  it('are found by the search although its first guess leaves out others', async () => {
    const wanted = removable.flatMap((can, i) => (can ? [i] : [])).slice(0, 3), guess = byTime.full.map((count, i) => (removable.flatMap((can, j) => (can ? [j] : [])).slice(-4).includes(i) ? 0 : count));
    const reward = (counts: Counts): number => wanted.filter((i) => counts[i] === 0).length / 3;
    let best = 0;
    for await (const { score, counts } of warmSearch(byTime, byTime.features, [guess], { budget: 0.7, episodes: 80, seed: 2, evaluate: (tried) => Promise.resolve({ accuracy: reward(tried), reward: reward(tried), images: 1 }) })) {
      expect(byTime.spent(counts)).toBeLessThanOrEqual(0.7);
      best = Math.max(best, score.reward);
    }
    expect(best).toBe(1);
  });
});
