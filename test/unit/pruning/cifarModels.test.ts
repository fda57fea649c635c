import { existsSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { loadModel } from '../../../src/engine/onnx/modelFile.ts';
import { GraphView } from '../../../src/engine/onnx/graphView.ts';
import { analyse } from '../../../src/engine/pruning/analysis.ts';
import { costs } from '../../../src/engine/pruning/costs.ts';
import { channelOrders } from '../../../src/engine/pruning/importance.ts';
import { planFrom } from '../../../src/engine/pruning/plan.ts';
import { applyPlan } from '../../../src/engine/pruning/surgery.ts';
import { uniformKept } from '../../../src/engine/pruning/uniform.ts';
import type { Analysis, KeptUnits } from '../../../src/engine/pruning/types.ts';
import { syntheticInput } from '../../../src/engine/runtime/shapes.ts';
import { maskedModel, relativeDifference } from './maskedEquivalence.ts';

const folder = '../shared/models/cifar10';
// MACs of the original: sums over convolutions and fully connected layers, mobilenetv1's is in the models' README
const rows = [
  ['plain20', undefined, 0.28], ['resnet20', undefined, 0.28], ['resnet20_bn', undefined, 0.28], ['resnet56', undefined, 0.28],
  ['mobilenetv1', 46.35e6, 0.30], ['mobilenetv2', undefined, 0.32], ['mobilenetv2_bn', undefined, 0.32], ['vgg16', undefined, 0.28],
] as const;

/** Random non-empty subsets of the units of every group, the same every time. */
function randomKept({ groups }: Analysis): KeptUnits {
  let state = 12345;
  const next = (): number => { state = (Math.imul(state, 1664525) + 1013904223) >>> 0; return state / 2 ** 32; };
  return new Map(groups.map(({ id, channels }) => {
    const kept = Array.from({ length: channels }, (_, unit) => unit).filter(() => next() < 0.6);
    return [id, kept.length > 0 ? kept : [channels - 1]];
  }));
}

describe.skipIf(!existsSync(folder))('CIFAR-10 models (../shared/models is not part of a clone)', () => {
  it.each(rows)('%s pruned equals the original with the dropped inputs zeroed', async (name, macs, most) => {
    const { proto } = await loadModel(`${folder}/${name}.onnx`);
    const analysis = await analyse(proto);
    if (macs) expect(analysis.macs / macs).toBeCloseTo(1, 3);
    expect(analysis.frozen.length).toBeLessThanOrEqual(1); // the classifier's logits
    const input = syntheticInput(proto.graph.input.find((value) => new GraphView(proto.graph).inputs.includes(value.name))!, [2, 3, 32, 32]);
    const half = uniformKept(analysis, 0.5, { order: channelOrders(proto, analysis) });
    expect(costs(analysis, half).macs / analysis.macs).toBeLessThan(most);
    for (const kept of [half, randomKept(analysis)]) {
      const pruned = applyPlan(proto, analysis, kept);
      const masked = maskedModel(proto, planFrom(analysis, kept, { path: '', sha256: '' }));
      expect(await relativeDifference(masked, pruned, { [proto.graph.input[0]!.name]: input })).toBeLessThan(1e-4);
      const again = await analyse(pruned);
      expect(costs(analysis, kept)).toEqual({ macs: again.macs, params: again.params });
    }
  });
});
