import type { GraphProto, ModelProto } from 'onnx-buf';
import { describe, expect, it } from 'vitest';
import { Random } from '../../../src/engine/numerics/random.ts';
import { GraphBuilder } from '../../../src/engine/onnx/graphBuilder.ts';
import { Session, floats } from '../../../src/engine/runtime/session.ts';
import { type Fed, anyBatch } from '../../../src/engine/training/anyBatch.ts';
import { distill } from '../../../src/engine/training/finetune.ts';
import { packParameters, parametersOf } from '../../../src/engine/training/parameters.ts';
import { stripes } from './smallNets.ts';

type Model = ModelProto & { graph: GraphProto };

/** A network of [batch, 2, 8, 8] whose way from the convolutions to the scores is `middle`, [batch, 6, 4, 4] to [batch, 96]. */
function network(batch: number | string, middle: (build: GraphBuilder, x: string) => string, seed = 3): Model {
  const random = new Random(seed), build = new GraphBuilder(), values = (dims: number[], scale: number): string => build.floats(dims, Float32Array.from({ length: dims.reduce((a, b) => a * b) }, () => random.normal(0, scale)));
  const conv = build.op('Relu', [build.op('Conv', [build.input('image', [batch, 2, 8, 8]), values([6, 2, 3, 3], 0.3), values([6], 0.1)], { pads: [1, 1, 1, 1], strides: [2, 2] })]);
  build.output(build.op('Gemm', [middle(build, conv), values([96, 3], 0.2), values([3], 0.1)]), 'y', [batch, 3]);
  return build.model();
}
/** What exporters write where the batch is 1 (or any other): sizes as constants, here of tokens that heads share, folded into the batch and back. */
const attention = (batch: number) => (build: GraphBuilder, x: string): string => {
  const tokens = build.transpose(build.reshape(x, [batch, 6, -1]), [0, 2, 1]), heads = build.reshape(build.transpose(build.reshape(tokens, [batch, 16, 2, 3]), [0, 2, 1, 3]), [2 * batch, 16, 3]);
  const mixed = build.op('MatMul', [build.op('Softmax', [build.op('MatMul', [heads, build.transpose(heads, [0, 2, 1])])]), heads]);
  return build.reshape(build.transpose(build.reshape(mixed, [batch, 2, -1, 3]), [0, 2, 1, 3]), [batch, -1]);
};
/** What interpolation to a size and a broadcast are in such files. */
const sized = (batch: number) => (build: GraphBuilder, x: string): string => {
  const larger = build.op('Resize', [x, '', '', build.ints([batch, 6, 8, 8])], { mode: 'linear' }), gate = build.op('Expand', [build.op('ReduceMean', [larger], { axes: [2, 3] }), build.ints([batch, 6, 4, 4])]);
  return build.reshape(build.mul(build.op('AveragePool', [larger], { kernel_shape: [2, 2], strides: [2, 2] }), gate), [batch, -1]);
};
const flat = (batch: number) => (build: GraphBuilder, x: string): string => build.reshape(x, [batch, -1]);
const newer = (batch: number) => (build: GraphBuilder, x: string): string => build.op('Reshape', [x, build.ints([batch, 96])], { allowzero: 1 });

const answers = async (model: Model, image: Float32Array, batch: number): Promise<Float32Array> => {
  const session = await Session.create(model, { threads: 1 });
  try { return (await session.run({ image: floats(image, [batch, 2, 8, 8]) }))['y']!.data as Float32Array; } finally { await session.release(); }
};
const samples = stripes(48, 2, false), fed: Fed = { dims: samples.dims, show: async (count) => (await samples.batch(Array.from({ length: count }, (_, i) => i))).inputs };

describe.each([1, 4])('a model that takes batches of %d alone, by its shape constants too', (batch) => {
  it.each([['of a flat view', flat], ['of heads that are folded into the batch', attention], ['of an interpolation and a broadcast', sized], ['in which 0 is no copy of a size', newer]] as const)('%s, answers others alike', async (_title, middle) => {
    const model = network(batch, middle(batch)), open = await anyBatch(model, fed), image = (await fed.show(12))['image']!.data as Float32Array, whole = await answers(open, image, 12);
    for (let from = 0; from < 12; from += batch) (await answers(model, image.subarray(from * 128, (from + batch) * 128), batch)).forEach((value, i) => { expect(whole[3 * from + i]).toBeCloseTo(value, 4); });
  });

  it.each([['a flat view', flat], ['heads', attention], ['an interpolation', sized]] as const)('learns through %s', async (_title, middle) => {
    const { history } = await distill({ samples, model: network(batch, middle(batch)), teacher: network(batch, middle(batch), 5), options: { epochs: 4, batchSize: 16, learningRate: 0.01, augmentation: undefined, threads: 1 } });
    expect(history.at(-1)!.loss).toBeLessThan(history[0]!.loss);
  });

  it('is trained like one that is free, and stays as it was', async () => {
    const task = { samples, options: { epochs: 2, batchSize: 16, learningRate: 0.01, augmentation: undefined, threads: 1 } };
    const [fixed, free] = [await distill({ ...task, model: network(batch, flat(batch)), teacher: network(batch, flat(batch), 5) }), await distill({ ...task, model: network('n', flat(0)), teacher: network('n', flat(0), 5) })];
    expect(fixed.history.map(({ loss }) => loss)).toEqual(free.history.map(({ loss }) => expect.closeTo(loss, 4) as number));
    expect(packParameters(parametersOf(fixed.model)).every((value, i) => Math.abs(value - packParameters(parametersOf(free.model))[i]!) < 1e-3)).toBe(true);
    expect(fixed.model.graph.node).toEqual(network(batch, flat(batch)).graph.node);
    expect(fixed.model.graph.input).toEqual(network(batch, flat(batch)).graph.input);
  });
});

it.each<[string, (build: GraphBuilder, x: string) => string]>([
  ['where a size behind the first has it', (build, x) => build.reshape(build.transpose(build.reshape(build.transpose(build.reshape(x, [1, 6, 16]), [1, 0, 2]), [6, 1, 16]), [1, 0, 2]), [1, 96])],
  ['where samples are mixed', (build, x) => build.op('Flatten', [build.sub(x, build.op('ReduceMean', [x], { axes: [0] }))])],
])('a model that can not be opened, %s, is refused', async (_title, middle) => {
  await expect(anyBatch(network(1, middle), fed)).rejects.toThrow(/takes batches of 1 only, and can't be opened to others for training \(.+\)\. Export it with an open batch\.$/);
});
