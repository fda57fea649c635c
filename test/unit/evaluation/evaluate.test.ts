import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import type { Dataset } from '../../../src/engine/data/dataset.ts';
import { openDataset } from '../../../src/engine/data/openDataset.ts';
import { evaluateFiles, evaluateModel } from '../../../src/engine/evaluation/evaluate.ts';
import { makeNode } from '../../../src/engine/onnx/attributes.ts';
import { buildModel, valueInfo } from '../../../src/engine/onnx/buildModel.ts';
import { saveModel } from '../../../src/engine/onnx/modelFile.ts';
import { DataType, floatToHalf } from '../../../src/engine/onnx/tensor.ts';
import { hasShared, shared, temporaryFolder, writeTree } from '../../support/files.ts';
import { npy, npz } from '../../support/npy.ts';

const folder = await temporaryFolder();
const open: Dataset[] = [];
afterAll(async () => { for (const each of open) await each.close(); });
async function opened(path: string): Promise<Dataset> {
  const each = await openDataset(path);
  open.push(each);
  return each;
}

/** Scores are the inputs, so a tensor data set states the scores themselves. */
const identity = (dims: (number | string)[]): ReturnType<typeof buildModel> => buildModel({ nodes: [makeNode('Identity', ['x'], ['y'])], inputs: [valueInfo('x', dims, 1)], outputs: [valueInfo('y', dims, 1)] });
const scores = Float32Array.of(9, 8, 7, 6, 5, 4, 3, /**/ 1, 2, 3, 4, 5, 6, 7, /**/ 1, 1, 1, 1, 1, 1, 1, /**/ NaN, 0, 0, 0, 0, 0, 0);
const dataset = async (labels: number[]): Promise<Dataset> => opened(join(await writeTree(folder, { 'a.npz': npz({ x: npy('<f4', [4, 7], scores), labels: npy('<i4', [4], Int32Array.from(labels)) }) }), 'a.npz'));

describe('numbers of another element type than the model takes', () => {
  const labels = npy('<i4', [4], Int32Array.of(0, 6, 0, 1)), value = async (array: Uint8Array, type: number): Promise<number> =>
    (await evaluateModel(buildModel({ nodes: [makeNode('Cast', ['x'], ['y'], { to: type === DataType.INT64 || type === DataType.INT8 ? DataType.FLOAT : type })], inputs: [valueInfo('x', ['n', 7], type)], outputs: [valueInfo('y', ['n', 7], type === DataType.INT64 || type === DataType.INT8 ? DataType.FLOAT : type)] }), await opened(join(await writeTree(folder, { 'b.npz': npz({ x: array, labels }) }), 'b.npz')))).value;
  const whole = scores.map((score) => score || 0), halves = floatToHalf(scores, DataType.FLOAT16);

  it.each<[string, Uint8Array, number]>([
    ['float64, as numpy makes them, for float32', npy('<f8', [4, 7], Float64Array.from(scores)), DataType.FLOAT], ['float16 for float32', npy('<f2', [4, 7], halves), DataType.FLOAT],
    ['float32 for float16', npy('<f4', [4, 7], scores), DataType.FLOAT16], ['float16 for float16', npy('<f2', [4, 7], halves), DataType.FLOAT16], ['float32 for float64', npy('<f4', [4, 7], scores), DataType.DOUBLE],
    ['int32 for int64', npy('<i4', [4, 7], Int32Array.from(whole)), DataType.INT64], ['int64 for int8', npy('<i8', [4, 7], BigInt64Array.from(whole, BigInt)), DataType.INT8],
  ])('%s', async (_title, array, type) => { expect(await value(array, type)).toBe(type === DataType.INT64 || type === DataType.INT8 ? 0.75 : 1); }); // without NaN the last one's answer is another

  it.each<[string, Uint8Array, number, RegExp]>([
    ['pixels for reals', npy('|u1', [4, 7], new Uint8Array(28)), DataType.FLOAT, /b\.npz holds uint8 numbers for the model's input "x", which takes float32: store them as float32, prepared as the model takes them, or as "images"/],
    ['reals for integers', npy('<f4', [4, 7], scores), DataType.INT64, /holds float32 numbers .* takes int64: store them as int64\.$/], ['integers that are too large', npy('<i4', [4, 7], new Int32Array(28).fill(300)), DataType.INT8, /takes int8/],
  ])('%s are refused', async (_title, array, type, message) => { await expect(value(array, type)).rejects.toThrow(message); });
});

describe('accuracy of known scores', () => {
  it.each<[string, 'top1' | 'top5', number[], number]>([
    ['all right', 'top1', [0, 6, 0, 1], 1],
    ['equal scores: the first class is the answer', 'top1', [1, 1, 0, 1], 0.5],
    ['a score that is no number is never right', 'top1', [0, 6, 0, 0], 0.75],
    ['the fifth is among the top five, the sixth is not', 'top5', [4, 1, 4, 3], 0.75],
  ])('%s', async (_title, metric, labels, expected) => {
    expect(await evaluateModel(identity(['n', 7]), await dataset(labels), { metric })).toMatchObject({ value: expected, images: 4, classes: 7 });
  });

  it('takes a part of the images, every class in its proportion', async () => {
    expect(await evaluateModel(identity(['n', 7]), await dataset([0, 6, 0, 1]), { limit: 3 })).toMatchObject({ images: 3, value: 1 });
  });
});

it('agrees by every position of a segmentation output', async () => {
  const path = await writeTree(join(folder, 'seg'), { 'a.npz': npz({ x: npy('<f4', [1, 2, 2, 2], Float32Array.of(1, 1, 0, 0, 0, 0, 1, 1)) }) });
  await saveModel(identity(['n', 2, 2, 2]), join(path, 'a.onnx'));
  await saveModel(buildModel({ nodes: [makeNode('Transpose', ['x'], ['y'], { perm: [0, 1, 3, 2] })], inputs: [valueInfo('x', ['n', 2, 2, 2], 1)], outputs: [valueInfo('y', ['n', 2, 2, 2], 1)] }), join(path, 'b.onnx'));
  expect(await evaluateFiles(join(path, 'a.onnx'), join(path, 'a.npz'), { against: join(path, 'b.onnx') })).toMatchObject({ metric: 'agreement', value: 0.5 });
});

it('feeds several inputs by their names', async () => {
  const model = buildModel({ nodes: [makeNode('Add', ['a', 'b'], ['y'])], inputs: [valueInfo('a', ['n', 2], 1), valueInfo('b', ['n', 2], 1)], outputs: [valueInfo('y', ['n', 2], 1)] });
  const files = { 'both.npz': npz({ a: npy('<f4', [2, 2], Float32Array.of(0, 0, 0, 0)), b: npy('<f4', [2, 2], Float32Array.of(1, 0, 0, 1)), labels: npy('|u1', [2], Uint8Array.of(0, 1)) }), 'one.npz': npz({ a: npy('<f4', [1, 2], new Float32Array(2)), c: npy('<f4', [1, 2], new Float32Array(2)), labels: npy('|u1', [1], Uint8Array.of(0)) }) };
  const path = await writeTree(join(folder, 'several'), files);
  expect(await evaluateModel(model, await opened(join(path, 'both.npz')))).toMatchObject({ value: 1 });
  await expect(evaluateModel(model, await opened(join(path, 'one.npz')))).rejects.toThrow(/has no array for the model's input "b" \(it has "a", "c"\)/);
});

describe('a model that fixes its batch', () => {
  const mean = (batch: number | string): ReturnType<typeof buildModel> => buildModel({ nodes: [makeNode('GlobalAveragePool', ['x'], ['p']), makeNode('Flatten', ['p'], ['y'])], inputs: [valueInfo('x', [batch, 3, 4, 4], 1)], outputs: [valueInfo('y', [batch, 3], 1)] });
  const count = 70, bytes = Uint8Array.from({ length: count * 48 }, (_, i) => (i * 7919 + Math.floor(i / 16) * 31) % 251), labels = Uint8Array.from({ length: count }, (_, i) => i % 3);
  it.each([1, 3, 32, 100])('of %i is as accurate as one that takes any, on images that this does not divide, and agrees with that', async (batch) => {
    const path = await writeTree(join(folder, 'fixed'), { 'labelled.npz': npz({ images: npy('|u1', [count, 3, 4, 4], bytes), labels: npy('|u1', [count], labels) }), 'plain.npz': npz({ images: npy('|u1', [count, 3, 4, 4], bytes) }) });
    await saveModel(mean('n'), join(path, 'any.onnx'));
    await saveModel(mean(batch), join(path, 'fixed.onnx'));
    const any = await evaluateFiles(join(path, 'any.onnx'), join(path, 'labelled.npz'));
    expect(any.images).toBe(count);
    expect(any.value).toBeGreaterThan(0);
    expect(await evaluateFiles(join(path, 'fixed.onnx'), join(path, 'labelled.npz'))).toEqual(any);
    for (const [model, against] of [['fixed', 'any'], ['any', 'fixed']] as const) expect(await evaluateFiles(join(path, `${model}.onnx`), join(path, 'plain.npz'), { against: join(path, `${against}.onnx`) })).toMatchObject({ metric: 'agreement', value: 1, images: count });
  });
});

it('a model that answers with numbers of classes first is compared by its other outputs, and can not be judged by labels', async () => {
  const model = buildModel({
    nodes: [makeNode('GlobalAveragePool', ['x'], ['p']), makeNode('Flatten', ['p'], ['y']), makeNode('ArgMax', ['y'], ['c'], { axis: 1, keepdims: 0 })],
    inputs: [valueInfo('x', ['n', 3, 4, 4], 1)], outputs: [valueInfo('c', ['n'], 7), valueInfo('y', ['n', 3], 1)],
  });
  const images = npy('|u1', [2, 3, 4, 4], Uint8Array.from({ length: 96 }, (_, i) => i)), path = await writeTree(join(folder, 'argmax'), { 'plain.npz': npz({ images }), 'labelled.npz': npz({ images, labels: npy('|u1', [2], Uint8Array.of(0, 1)) }) });
  await saveModel(model, join(path, 'a.onnx'));
  expect(await evaluateFiles(join(path, 'a.onnx'), join(path, 'plain.npz'), { against: join(path, 'a.onnx') })).toMatchObject({ value: 1, images: 2 });
  await expect(evaluateFiles(join(path, 'a.onnx'), join(path, 'labelled.npz'))).rejects.toThrow(/output "c" of shape \[2\] \(int64\) does not hold scores of classes/);
});

it('looks through the labels once, however many batches there are', async () => {
  const count = 300, data = await opened(join(await writeTree(join(folder, 'many'), { 'a.npz': npz({ x: npy('<f4', [count, 7], new Float32Array(count * 7)), labels: npy('|u1', [count], new Uint8Array(count)) }) }), 'a.npz')), labels = data.labels!, search = labels.findIndex.bind(labels);
  let searches = 0;
  labels.findIndex = (test) => { searches++; return search(test); };
  expect(await evaluateModel(identity(['n', 7]), data)).toMatchObject({ value: 1, images: count });
  expect(searches).toBe(1);
});

it.skipIf(!hasShared)('reaches the accuracy that PyTorch gave for resnet20 on val5k, to 0.1 points', async () => {
  const { value } = await evaluateFiles(shared('models/cifar10/resnet20.onnx'), shared('data/cifar10/val5k.npz'), { preprocess: '{"mean":[0.4914,0.4822,0.4465],"std":[0.247,0.2435,0.2616]}' });
  expect(value).toBeCloseTo(0.9274, 3);
});
