import { join } from 'node:path';
import { create } from '@bufbuild/protobuf';
import { StringStringEntryProtoSchema } from 'onnx-buf';
import { afterAll, expect, it } from 'vitest';
import { checkPreprocessing } from '../../../src/engine/data/preprocessing.ts';
import { openDataset } from '../../../src/engine/data/openDataset.ts';
import { withPreprocessing } from '../../../src/engine/evaluation/recordedPreprocessing.ts';
import { prepare, taskInputDims } from '../../../src/engine/evaluation/taskData.ts';
import { loadModel, saveModel } from '../../../src/engine/onnx/modelFile.ts';
import { temporaryFolder } from '../../support/files.ts';

const { proto } = await loadModel('examples/resnet20.onnx'), images = await openDataset('examples/cifar10/validation'), folder = await temporaryFolder();
afterAll(() => images.close());
const found = async (model: typeof proto): Promise<string> => (await prepare(model, images, await taskInputDims(model, images), { seed: 0 })).description;
const imageNet = checkPreprocessing({ name: 'ImageNet mean and std', mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225] });

it('is what images are prepared with, through a file, where another serves about as well', async () => {
  expect(await found(proto)).toBe('CIFAR-10 mean and std, RGB');
  const path = join(folder, 'recorded.onnx');
  await saveModel(withPreprocessing(proto, imageNet), path);
  expect(await found((await loadModel(path)).proto)).toBe('ImageNet mean and std, RGB');
});

it('is passed over where it is clearly wrong, as for images stored in another way', async () => {
  expect(await found(withPreprocessing(proto, { ...imageNet, scale: 1 }))).toBe('CIFAR-10 mean and std, RGB');
  expect(await found(withPreprocessing(proto, { ...imageNet, layout: 'nhwc' }))).toBe('CIFAR-10 mean and std, RGB');
});

it('replaces an older one, keeps all other metadata, and leaves the model given as it was', () => {
  const named = { ...proto, metadataProps: [create(StringStringEntryProtoSchema, { key: 'author', value: 'somebody' })] }, twice = withPreprocessing(withPreprocessing(named, checkPreprocessing({})), imageNet);
  expect(twice.metadataProps.map(({ key }) => key)).toEqual(['author', 'auto-compress.preprocessing']);
  expect(JSON.parse(twice.metadataProps[1]!.value)).toEqual(imageNet);
  expect(named.metadataProps).toHaveLength(1);
  expect(withPreprocessing(named, undefined)).toBe(named);
});

it('says where a recipe stands that can not be read', async () => {
  const broken = { ...proto, metadataProps: [create(StringStringEntryProtoSchema, { key: 'auto-compress.preprocessing', value: '{"mean":"grey"}' })] };
  await expect(found(broken)).rejects.toThrow(/"auto-compress.preprocessing" in the model's metadata \(a recipe given with --preprocess is taken instead\), "mean": /);
});
