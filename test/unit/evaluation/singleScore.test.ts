import { join } from 'node:path';
import type { GraphProto, ModelProto } from 'onnx-buf';
import { describe, expect, it } from 'vitest';
import { openDataset } from '../../../src/engine/data/openDataset.ts';
import { evaluateFiles } from '../../../src/engine/evaluation/evaluate.ts';
import { Judge } from '../../../src/engine/evaluation/judge.ts';
import { prepare, taskInputDims } from '../../../src/engine/evaluation/taskData.ts';
import { openNetwork } from '../../../src/engine/flow/network.ts';
import { openTask } from '../../../src/engine/flow/task.ts';
import { GraphBuilder } from '../../../src/engine/onnx/graphBuilder.ts';
import { saveModel } from '../../../src/engine/onnx/modelFile.ts';
import { parseCompressOptions } from '../../../src/engine/protocol.ts';
import { temporaryFolder, writeTree } from '../../support/files.ts';
import { npy, npz } from '../../support/npy.ts';

type Model = ModelProto & { graph: GraphProto };
const folder = await temporaryFolder(), count = 100;
/** A network of two hidden units whose one answer a sample is x, by way of `ending`. */
function network(ending: (build: GraphBuilder, x: string) => string, dims: readonly (number | string)[] = ['n', 1]): Model {
  const build = new GraphBuilder(), hidden = build.op('Relu', [build.op('Gemm', [build.input('x', ['n', 1]), build.floats([1, 2], Float32Array.of(1, -1)), build.floats([2], new Float32Array(2))])]);
  build.output(ending(build, build.op('Gemm', [hidden, build.floats([2, 1], Float32Array.of(1, -1)), build.floats([1], new Float32Array(1))])), 'y', dims);
  return build.model();
}
const x = Float32Array.from({ length: count }, (_, i) => (i % 2 === 0 ? -0.5 : 0.5) * (1 + i)), right = Int32Array.from(x, (value) => Number(value > 0)), labels = right.map((label, i) => (i < 10 ? 1 - label : label));
const data = (classes: Int32Array): Uint8Array => npz({ x: npy('<f4', [count, 1], x), labels: npy('<i4', [count], classes) });
await writeTree(folder, { 'x.npz': data(labels), 'three.npz': data(labels.map((label) => 2 * label)) });

describe.each<[string, Model]>([
  ['a logit', network((_, value) => value)],
  ['a probability', network((build, value) => build.op('Sigmoid', [value]))],
  ['a probability [n]', network((build, value) => build.op('Squeeze', [build.op('Sigmoid', [value]), build.ints([1])]), ['n'])],
  ['a probability [n, 1, 1, 1]', network((build, value) => build.op('Reshape', [build.op('Sigmoid', [value]), build.ints([0, 1, 1, 1])]), ['n', 1, 1, 1])],
  ['one of two probabilities', network((build, value) => build.op('Slice', [build.op('Softmax', [build.concat([build.mul(value, 0), value], 1)]), build.ints([1]), build.ints([2]), build.ints([1])]))],
])('a model that gives the score of one class alone, %s', (title, model) => {
  const path = join(folder, `${title}.onnx`);

  it('is judged as one of two classes, by evaluation and in a run alike', async () => {
    await saveModel(model, path);
    expect(await evaluateFiles(path, join(folder, 'x.npz'))).toMatchObject({ value: 0.9, classes: 2, images: count });
    const judge = await Judge.create(model, { count, labels, inputs: [{ name: 'x', type: 'float32', dims: [1], data: x }] }, 'top1');
    expect(judge.original).toBeCloseTo(0.9, 6);
    judge.reference.probability.forEach((probability, i) => { expect(probability).toBeCloseTo(1 / (1 + Math.exp(labels[i] === 1 ? -x[i]! : x[i]!)), 5); });
  });

  it('is compressed by labels 0 and 1, and refuses others before the search', async () => {
    const network = await openNetwork(path), options = (val: string) => parseCompressOptions({ model: path, val: join(folder, val), target: { metric: 'macs', value: 0.9 } });
    expect(await openTask(network, options('x.npz'), new AbortController().signal)).toMatchObject({ classes: 2, doubts: [] });
    for (const refused of [openTask(network, options('three.npz'), new AbortController().signal), evaluateFiles(path, join(folder, 'three.npz'))]) await expect(refused).rejects.toThrow(/label 2 of image \d+ is outside the model's 2 classes/);
  });
});

it('images are prepared as such a model gives the right answers', async () => {
  const build = new GraphBuilder(), mean = build.op('Flatten', [build.op('ReduceMean', [build.input('x', ['n', 3, 4, 4])], { axes: [1, 2, 3] })]);
  build.output(build.op('Sigmoid', [build.mul(mean, 5)]), 'y', ['n', 1]); // right where images are prepared as -1 to 1
  const bytes = Uint8Array.from({ length: count * 48 }, (_, i) => (Math.floor(i / 48) * 157) % 256), dataset = await openDataset(join(await writeTree(folder, {
    'images.npz': npz({ images: npy('|u1', [count, 3, 4, 4], bytes), labels: npy('|u1', [count], Uint8Array.from({ length: count }, (_, i) => Number(bytes[48 * i]! > 127))) }),
  }), 'images.npz')), model = build.model();
  const { recipe } = await prepare(model, dataset, await taskInputDims(model, dataset), { seed: 0 });
  await dataset.close();
  expect(recipe!.name).toBe('-1 to 1');
});
