import { join } from 'node:path';
import { writeFile } from 'node:fs/promises';
import { expect, it } from 'vitest';
import { evaluateFiles } from '../../../src/engine/evaluation/evaluate.ts';
import { valueInfo } from '../../../src/engine/onnx/buildModel.ts';
import { loadModel, saveModel } from '../../../src/engine/onnx/modelFile.ts';
import { elementCount } from '../../../src/engine/onnx/tensor.ts';
import { operations } from '../../../src/engine/operations.ts';
import { temporaryFolder } from '../../support/files.ts';
import { npy, npz } from '../../support/npy.ts';
import { smallTask } from '../../support/smallTask.ts';

const folder = await temporaryFolder(), { model } = await smallTask(folder), { proto } = await loadModel(model), data = join(folder, 'few.npz');
await writeFile(data, npz({ images: npy('|u1', [50, 3, 12, 12], Uint8Array.from({ length: 50 * 432 }, (_, i) => (i * 7919 + Math.floor(i / 432) * 31) % 256)) }));

it.each([1, 16, 64])('a model that takes batches of %i only is repaired on 50 images', async (batch) => {
  const fixed = join(folder, `${batch}.onnx`), [plain, repaired] = ['plain', 'repaired'].map((name) => join(folder, `${batch}.${name}.onnx`)) as [string, string];
  await saveModel({ ...proto, graph: { ...proto.graph, input: [valueInfo('x', [batch, 3, 12, 12], 1)], output: [valueInfo('y', [batch, 10], 1)] } }, fixed);
  await operations.prune({ model: fixed, out: plain, preserve: 0.5 });
  await operations.prune({ model: fixed, out: repaired, preserve: 0.5, calibration: data });
  const agreement = async (path: string): Promise<number> => (await evaluateFiles(path, data, { against: fixed })).value;
  expect(await agreement(repaired)).toBeGreaterThan(await agreement(plain));
});

it('prune tells what the written file holds, biases of the repair included, and how the images were prepared', async () => {
  const out = join(folder, 'counted.onnx'), { before, after, preprocessing } = await operations.prune({ model, out, preserve: 0.5, calibration: data, preprocess: '{"mean":[0.5]}' });
  const weights = (await loadModel(out)).proto.graph.initializer.filter(({ dataType, dims }) => dataType === 1 && dims.length > 0);
  expect(weights.length).toBeGreaterThan(proto.graph.initializer.length);
  expect(after.params).toBe(weights.reduce((sum, { dims }) => sum + elementCount(dims), 0));
  expect(before.sparse).toBeUndefined();
  expect(preprocessing).toBe('scale 0.003922, mean 0.5, std 1, RGB');
});
