import { copyFile, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, expect, it } from 'vitest';
import { UnreachableTargetError } from '../../../src/engine/errors.ts';
import { saveModel } from '../../../src/engine/onnx/modelFile.ts';
import { operations } from '../../../src/engine/operations.ts';
import type { Report, RunEvent } from '../../../src/engine/protocol.ts';
import { temporaryFolder } from '../../support/files.ts';
import { smallTask } from '../../support/smallTask.ts';
import { Network } from '../pruning/network.ts';

const folder = await temporaryFolder();
let model: string, data: string;
beforeAll(async () => {
  process.env['XDG_CACHE_HOME'] = join(folder, 'cache');
  ({ model, data } = await smallTask(folder));
});
const quiet = (): { emit(event: RunEvent): void; signal: AbortSignal } => ({ emit: () => undefined, signal: new AbortController().signal });
const request = (name: string, more: object = {}): object => ({ model, val: data, target: { metric: 'macs', value: 0.5 }, episodes: 3, refine: 0, threads: 1, preprocess: '{}', out: join(folder, `${name}.onnx`), runDir: join(folder, name), ...more });

it('a run goes on with the preprocessing that it began with, though its file has changed or is gone', async () => {
  const recipe = join(folder, 'recipe.json'), controller = new AbortController();
  await writeFile(recipe, '{"mean":[0.5],"std":[0.25]}');
  const whole = await operations.compress(request('whole', { preprocess: recipe }), quiet());
  await expect(operations.compress(request('broken', { preprocess: recipe }), { emit: ({ type }) => { if (type === 'episode') controller.abort(); }, signal: controller.signal })).rejects.toThrow();
  await rm(recipe);
  const resumed: Report = await operations.resume(join(folder, 'broken'), quiet());
  expect(resumed.candidates).toEqual(whole.candidates);
  expect(await readFile(join(folder, 'broken.onnx'))).toEqual(await readFile(join(folder, 'whole.onnx')));
}, 120_000);

it('a run keeps a recipe in full, in the layout of the model\'s input', async () => {
  const net = new Network(), x = net.op('Transpose', [net.input('x', ['n', 12, 12, 3])], { perm: [0, 3, 1, 2] }), controller = new AbortController(), path = join(folder, 'channels-last.onnx');
  await saveModel(net.output(net.op('Flatten', [net.op('GlobalAveragePool', [net.conv(net.op('Relu', [net.conv(x, 3, 8)]), 8, 4)])])).model(), path);
  await expect(operations.compress(request('last', { model: path, preprocess: '{"mean":[0.5]}' }), { emit: ({ type }) => { if (type === 'run') controller.abort(); }, signal: controller.signal })).rejects.toThrow('Cancelled');
  const { options } = JSON.parse(await readFile(join(folder, 'last', 'options.json'), 'utf8')) as { options: { preprocess: string } };
  expect(JSON.parse(options.preprocess)).toMatchObject({ mean: [0.5], layout: 'nhwc' });
}, 60_000);

it('training data that nothing is trained on are told of', async () => {
  const messages: string[] = [];
  await operations.compress(request('untrained', { train: data, episodes: 1 }), { ...quiet(), emit: (event) => { if (event.type === 'warning') messages.push(event.message); } });
  expect(messages.join()).toMatch(/Option train is of no effect without fine-tuning: the images of .*data\.npz are not used\. Give its epochs with --finetune\./);
}, 120_000);

it('a candidate is not exported once the model or the data are others', async () => {
  await operations.compress(request('finished'), quiet());
  const kept = `${data}.kept`, exported = (): Promise<void> => operations.exportCandidate(join(folder, 'finished'), 1, join(folder, 'exported.onnx'), quiet());
  await exported();
  await copyFile(data, kept);
  await writeFile(data, (await readFile(data)).map((byte, i) => (i === 5000 ? byte ^ 1 : byte)));
  await expect(exported()).rejects.toThrow(/data\.npz \(option val of the run\) has changed since the run began/);
  await copyFile(kept, data);
  await copyFile(model, `${model}.kept`);
  await copyFile(join(folder, 'finished.onnx'), model);
  await expect(exported()).rejects.toThrow(/small\.onnx \(option model of the run\) has changed since the run began/);
  await copyFile(`${model}.kept`, model);
}, 120_000);

it('a time that can\'t be reached leaves nothing, so that no other model is judged by this one\'s times', async () => {
  await expect(operations.compress(request('slow', { target: { metric: 'latency', value: 0.001 } }), quiet())).rejects.toThrow(UnreachableTargetError);
  expect(await readdir(folder)).not.toContain('slow');
}, 120_000);
