import { beforeAll, describe, expect, it } from 'vitest';
import { loadModel } from '../../../src/engine/onnx/modelFile.ts';
import { GraphView } from '../../../src/engine/onnx/graphView.ts';
import { floatsOf } from '../../../src/engine/onnx/tensor.ts';
import { analyse } from '../../../src/engine/pruning/analysis.ts';
import { channelOrders } from '../../../src/engine/pruning/importance.ts';
import { maskConsumers } from '../../../src/engine/pruning/mask.ts';
import type { PlanChoice } from '../../../src/engine/pruning/plan.ts';
import { applyPlan } from '../../../src/engine/pruning/surgery.ts';
import type { Analysis, KeptUnits } from '../../../src/engine/pruning/types.ts';
import { uniformKept } from '../../../src/engine/pruning/uniform.ts';
import { AnchoredRefit } from '../../../src/engine/reconstruction/anchoredRefit.ts';
import { type RefitTargets, refitTargets } from '../../../src/engine/reconstruction/refitTargets.ts';
import { sequentialRefit } from '../../../src/engine/reconstruction/sequentialRefit.ts';
import { Session, type Tensor, floats } from '../../../src/engine/runtime/session.ts';
import { Random } from '../../../src/engine/numerics/random.ts';
import { relativeDifference } from '../pruning/maskedEquivalence.ts';

const fit = { rounds: 1, ridge: 1e-3, grouped: false };
type Model = Awaited<ReturnType<typeof loadModel>>['proto'];
let proto: Model, analysis: Analysis, targets: RefitTargets, input: string, probe: Tensor, kept: (preserve: number) => KeptUnits, orders: Map<string, readonly number[]>;

beforeAll(async () => {
  ({ proto } = await loadModel('examples/resnet20.onnx'));
  analysis = await analyse(proto);
  input = new GraphView(proto.graph).inputs[0]!;
  const random = new Random(3), images = (count: number): Tensor => floats(Float32Array.from({ length: count * 3072 }, () => random.normal()), [count, 3, 32, 32]);
  targets = await refitTargets(proto, analysis, { [input]: [images(32), images(32)] }, { rows: 1024, perColumn: 0, points: 16, mostImages: 64, activationBytes: 8e8, featureBytes: 4e8 }, 1);
  probe = images(8);
  const order = channelOrders(proto, analysis);
  orders = new Map([...order].map(([id, units]) => [id, [...units].reverse()]));
  kept = (preserve) => uniformKept(analysis, preserve, { order });
});

/** Mean squared distance of a model's logits from the original's. */
async function distance(model: Model): Promise<number> {
  const [a, b] = await Promise.all([proto, model].map(async (each) => {
    const session = await Session.create(each);
    try { return Object.values(await session.run({ [input]: probe }))[0]!.data as Float32Array; } finally { await session.release(); }
  })) as [Float32Array, Float32Array];
  return a.reduce((sum, value, i) => sum + (value - b[i]!) ** 2, 0) / a.length;
}

/** A choice of channels alone. */
const channels = (chosen: KeptUnits): PlanChoice => ({ kept: chosen, densities: new Map() });

describe('refitting candidates around an anchor', () => {
  it('repairs the anchor as well as refitting one layer after another does', async () => {
    const anchor = kept(0.6), pruned = applyPlan(proto, analysis, anchor);
    const anchored = await (await AnchoredRefit.prepare(proto, channels(anchor), orders, targets, fit)).refit(pruned, channels(anchor));
    const sequential = await sequentialRefit(pruned, anchor, targets, fit); // its ridge is relative to the kept columns, not to all, so that the weights are not the same
    expect(await distance(anchored) / await distance(sequential)).toBeGreaterThan(0.8);
    expect(await distance(anchored) / await distance(sequential)).toBeLessThan(1.25);
  });

  it('repairs a candidate near the anchor, and the same way whatever came before it', async () => {
    const anchored = await AnchoredRefit.prepare(proto, channels(kept(0.6)), orders, targets, fit), near = kept(0.7), pruned = applyPlan(proto, analysis, near);
    const first = await anchored.refit(pruned, channels(near));
    expect(await distance(first)).toBeLessThan(0.7 * await distance(pruned));
    await anchored.refit(applyPlan(proto, analysis, kept(0.5)), channels(kept(0.5)));
    const again = await anchored.refit(pruned, channels(near));
    for (const [i, tensor] of first.graph.initializer.entries()) if (tensor.dataType === 1) expect(floatsOf(again.graph.initializer[i]!)).toEqual(floatsOf(tensor));
  });

  it('thins layers out to any share of their weights, at the anchor as well as one after another', async () => {
    const shares = (density: number): PlanChoice => ({ kept: new Map(), densities: new Map(analysis.layers.map(({ weight }) => [weight, density])) });
    const anchored = await (await AnchoredRefit.prepare(proto, shares(0.3), orders, targets, fit)).refit(proto, shares(0.3));
    const sequential = await sequentialRefit(proto, new Map(), targets, { ...fit, densities: shares(0.3).densities });
    expect(await distance(anchored) / await distance(sequential)).toBeGreaterThan(0.8);
    expect(await distance(anchored) / await distance(sequential)).toBeLessThan(1.25);

    const whole = await AnchoredRefit.prepare(proto, shares(1), orders, targets, fit), distances: number[] = [];
    for (const density of [0.1, 0.3, 0.45, 0.8, 1]) {
      const model = await whole.refit(proto, shares(density)), { constants } = new GraphView(model.graph);
      for (const { layer: { weight } } of targets.layers) {
        const values = floatsOf(constants.get(weight)!), there = values.filter((value) => value !== 0).length;
        expect(Math.abs(there - density * values.length)).toBeLessThan(1);
      }
      distances.push(await distance(model));
    }
    expect(distances).toEqual([...distances].sort((a, b) => b - a));
    expect(distances.at(-1)).toBeLessThan(1e-3 * distances[0]!);
  });

  it('makes up for branches that are gone by constants, at the anchor as well as one after another', async () => {
    const gone = analysis.groups.filter(({ removable }) => removable).filter((_, i) => i % 3 === 1).map(({ id }) => id), choice = new Map([...kept(0.8), ...gone.map((id) => [id, []] as const)]), pruned = applyPlan(proto, analysis, choice);
    expect(gone).toHaveLength(3);
    const anchored = await (await AnchoredRefit.prepare(proto, channels(choice), orders, targets, fit)).refit(pruned, channels(choice)), sequential = await sequentialRefit(pruned, choice, targets, fit);
    for (const model of [anchored, sequential]) expect(await distance(model)).toBeLessThan(0.7 * await distance(pruned));
    expect(await distance(anchored) / await distance(sequential)).toBeGreaterThan(0.8);
    expect(await distance(anchored) / await distance(sequential)).toBeLessThan(1.25);
    for (const id of gone) {
      const { weight } = analysis.layers.find(({ weight: name }) => analysis.groups.find((group) => group.id === id)!.consumers.some(({ initializer }) => initializer === name))!, { biased } = analysis.layers.find((layer) => layer.weight === weight)!;
      const constant = (model: Model): Float32Array => floatsOf(model.graph.initializer.find(({ name }) => name === biased)!);
      expect(constant(sequential)).not.toEqual(constant(pruned));
    }
    const near = new Map([...choice, [gone[0]!, kept(0.8).get(gone[0]!)!]]); // and brings one back without what it made of its absence
    expect(await distance(await (await AnchoredRefit.prepare(proto, channels(choice), orders, targets, fit)).refit(applyPlan(proto, analysis, near), channels(near)))).toBeLessThan(await distance(applyPlan(proto, analysis, near)));
  });

  it('starts from a network that answers as the pruned one in the shape of the original', async () => {
    const anchor = kept(0.5);
    expect(await relativeDifference(maskConsumers(proto, analysis, anchor), applyPlan(proto, analysis, anchor), { [input]: probe })).toBeLessThan(1e-4);
  });
});
