import { expect, it } from 'vitest';
import type { GraphProto, ModelProto } from 'onnx-buf';
import { GraphView } from '../../../src/engine/onnx/graphView.ts';
import { loadModel } from '../../../src/engine/onnx/modelFile.ts';
import { analyse } from '../../../src/engine/pruning/analysis.ts';
import { channelOrders } from '../../../src/engine/pruning/importance.ts';
import { applyPlan } from '../../../src/engine/pruning/surgery.ts';
import { uniformKept } from '../../../src/engine/pruning/uniform.ts';
import { type Tensor, Session, floats } from '../../../src/engine/runtime/session.ts';
import { lastFeatures, withFeatures } from '../../../src/engine/training/features.ts';
import { type FinetuneTask, finetune } from '../../../src/engine/training/finetune.ts';
import { logitsOf } from '../../../src/engine/training/losses.ts';
import { smallClassifier, stripes } from './smallNets.ts';

type Model = ModelProto & { graph: GraphProto };

async function run(model: Model, input: Tensor): Promise<Record<string, Tensor>> {
  const session = await Session.create(model, { threads: 1 });
  try { return await session.run({ [session.inputNames[0]!]: input }); } finally { await session.release(); }
}
const distance = (a: Tensor, b: Tensor): number => {
  const [x, y] = [a.data as Float32Array, b.data as Float32Array];
  return x.reduce((sum, value, i) => sum + (value - y[i]!) ** 2, 0) / y.reduce((sum, value) => sum + value * value, 0);
};

it('finds what the last two layers give behind their activations, and picks the positions that are left out of the original', async () => {
  const { proto } = await loadModel('examples/resnet20.onnx'), analysis = await analyse(proto), kept = uniformKept(analysis, 0.5, { order: channelOrders(proto, analysis) }), pruned = applyPlan(proto, analysis, kept);
  const features = lastFeatures(pruned, analysis, kept), view = new GraphView(proto.graph), input = floats(Float32Array.from({ length: 2 * 3072 }, (_, i) => Math.sin(i)), [2, 3, 32, 32]);
  expect(features.map(({ value }) => view.producers.get(value)!.opType)).toEqual(['Relu', 'Relu']); // of the last block's sum, and of the convolution before
  const logits = logitsOf(proto), original = withFeatures(proto, [logits], features), small = withFeatures(pruned, [logits], features.map((feature) => ({ ...feature, kept: [] })));
  const [wanted, whole, made] = await Promise.all([run(original.model, input), run(withFeatures(proto, [logits], features.map((feature) => ({ ...feature, kept: [] }))).model, input), run(small.model, input)]);
  features.forEach(({ value, kept: positions, elements }, i) => {
    const [target, full] = [wanted[original.names[i]!]!, whole[value]!], [, channels = 0, height = 0, width = 0] = full.dims, area = height * width;
    expect(target.dims).toEqual(made[value]!.dims);
    expect(elements).toBe(target.data.length / 2);
    expect(positions[1]!.length).toBeLessThan(channels);
    const rows = [0, 1].flatMap((sample) => [...positions[1]!].flatMap((channel) => [...(full.data as Float32Array).subarray((sample * channels + channel) * area, (sample * channels + channel + 1) * area)]));
    expect([...target.data as Float32Array]).toEqual(rows);
  });
});

it('brings features nearer to the original\'s than learning from its answers alone', async () => {
  const teacher = smallClassifier(5), analysis = await analyse(teacher), features = lastFeatures(teacher, analysis, new Map());
  const task: FinetuneTask = { model: smallClassifier(1), teacher, samples: stripes(320, 3, false), options: { epochs: 3, batchSize: 16, learningRate: 0.05, distillation: 1, augmentation: undefined, threads: 1 } };
  const input = (await stripes(64, 9).batch(Array.from({ length: 64 }, (_, i) => i))).inputs['image']!, shown = async (model: Model): Promise<Tensor> => (await run(withFeatures(model, ['logits'], features).model, input))[features[0]!.value]!;
  const wanted = await shown(teacher), alone = await finetune(task), guided = await finetune({ ...task, features });
  expect(distance(await shown(guided.model), wanted)).toBeLessThan(0.5 * distance(await shown(alone.model), wanted));
});
