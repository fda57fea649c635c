import { rmSync } from 'node:fs';
import { copyFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { compress, resume } from '../../../src/engine/compress.ts';
import { checkPreprocessing } from '../../../src/engine/data/preprocessing.ts';
import { augmentationFor } from '../../../src/engine/flow/train.ts';
import { Random } from '../../../src/engine/numerics/random.ts';
import { GraphBuilder } from '../../../src/engine/onnx/graphBuilder.ts';
import { loadModel, saveModel } from '../../../src/engine/onnx/modelFile.ts';
import { floatsOf } from '../../../src/engine/onnx/tensor.ts';
import { type CompressOptions, type CompressRequest, type RunEvent, parseCompressOptions } from '../../../src/engine/protocol.ts';
import { Session, floats } from '../../../src/engine/runtime/session.ts';
import { temporaryFolder, writeTree } from '../../support/files.ts';
import { npy, npz } from '../../support/npy.ts';

const folder = await temporaryFolder(), random = new Random(5), model = join(folder, 'net.onnx'), dims = [3, 12, 12], count = 400;
const normal = (size: number, scale = 1): Float32Array => Float32Array.from({ length: size }, () => scale * random.normal());

/** A small classifier of random images, which it labels itself. */
beforeAll(async () => {
  const build = new GraphBuilder(), x = build.input('x', ['n', ...dims]);
  const conv = (value: string, outs: number, ins: number): string => build.op('Relu', [build.op('Conv', [value, build.floats([outs, ins, 3, 3], normal(outs * ins * 9, Math.sqrt(2 / (9 * ins)))), build.floats([outs], normal(outs, 0.1))], { pads: [1, 1, 1, 1] })]);
  build.output(build.op('Gemm', [build.op('Flatten', [build.op('GlobalAveragePool', [conv(conv(x, 16, 3), 16, 16)])]), build.floats([5, 16], normal(80)), build.floats([5], normal(5))], { transB: 1 }), 'y', ['n', 5]);
  await saveModel(build.model(), model);
  const images = normal(count * 432), session = await Session.create(build.model()), scores = (await session.run({ x: floats(images, [count, ...dims]) }))['y']!.data as Float32Array;
  await session.release();
  const labels = Int32Array.from({ length: count }, (_, n) => { const row = scores.subarray(5 * n, 5 * n + 5); return row.indexOf(Math.max(...row)); });
  const data = (values: Int32Array): Uint8Array => npz({ x: npy('<f4', [count, ...dims], images), labels: npy('<i4', [count], values) }, 0);
  await writeTree(folder, { 'data.npz': data(labels), 'shifted.npz': data(labels.map((label) => label + 100)), 'other.npz': npz({ z: npy('<f4', [count, 7], normal(7 * count)), labels: npy('<i4', [count], labels) }, 0) });
});

const optionsOf = (name: string, more: Partial<CompressRequest>): CompressOptions => parseCompressOptions({
  model, val: join(folder, 'data.npz'), target: { metric: 'macs', value: 0.6 }, episodes: 3, roundTo: 1, threads: 1, seed: 1, out: join(folder, `${name}.onnx`), runDir: join(folder, name), ...more,
});
const weightsOf = async (name: string): Promise<Float32Array[]> => (await loadModel(join(folder, `${name}.onnx`))).proto.graph.initializer.map(floatsOf);
/** A run's training events as "step epoch". @param stop where it is cancelled */
function listening(stop?: string): { seen: string[]; context: { emit: (event: RunEvent) => void; signal: AbortSignal } } {
  const seen: string[] = [], controller = new AbortController();
  let stage = '';
  return { seen, context: { signal: controller.signal, emit: (event) => {
    if (event.type === 'stage') stage = event.stage;
    if (event.type !== 'training') return;
    seen.push(`${stage} ${event.epoch}`);
    if (seen.at(-1) === stop) controller.abort();
  } } };
}

describe('training in a run', () => {
  it('goes on in the fine-tuning where it was interrupted, and does not refine again', async () => {
    const steps = { refine: 2, finetune: 4 }, whole = listening(), stopped = listening('finetune 3'), resumed = listening();
    await compress(optionsOf('whole', steps), whole.context);
    await expect(compress(optionsOf('stopped', steps), stopped.context)).rejects.toThrow('Cancelled');
    await resume(join(folder, 'stopped'), resumed.context);
    expect(resumed.seen).not.toEqual([]);
    expect([...stopped.seen, ...resumed.seen]).toEqual(whole.seen);
    expect(await weightsOf('stopped')).toEqual(await weightsOf('whole'));
  }, 120_000);

  it('keeps what the search has found where training data can no longer be read', async () => {
    const train = join(folder, 'gone.npz'), options = { ...optionsOf('kept', { train, refine: 0 }), finetune: 1 };
    await copyFile(join(folder, 'data.npz'), train);
    const { notes, steps } = await compress(options, { signal: new AbortController().signal, emit: (event) => { if (event.type === 'stage' && event.stage === 'rebuild') rmSync(train, { force: true }); } });
    expect(notes.join()).toMatch(/Fine-tuning was left out: .*gone\.npz/);
    expect(steps.map(({ step }) => step)).toEqual(['reconstruct']);
    expect(await weightsOf('kept')).not.toEqual([]);
  }, 120_000);

  it('ends before the search for training data that have no array for the input', async () => {
    const { seen, context } = listening();
    await expect(compress(optionsOf('input', { finetune: 1, refine: 0, train: join(folder, 'other.npz') }), context)).rejects.toThrow(/other\.npz/);
    expect(seen).toEqual([]);
  }, 120_000);

  it.each([
    ['training data', { train: 'shifted.npz' }], ['calibration data, where fine-tuning learns from those', { calibration: 'shifted.npz' }],
  ])('ends before the search for labels outside the model\'s classes in %s', async (_title, data) => {
    const paths = Object.fromEntries(Object.entries(data).map(([name, file]) => [name, join(folder, file)])), { seen, context } = listening();
    await expect(compress(optionsOf('labels', { finetune: 1, refine: 0, ...paths }), context)).rejects.toThrow(/shifted\.npz: label 10\d of image \d+ is outside the model's 5 classes/);
    expect(seen).toEqual([]);
  }, 120_000);
});

describe('augmentation of a run\'s samples', () => {
  const samples = (shape: number[]): Parameters<typeof augmentationFor>[0] => ({ count: 1, inputs: [{ name: 'x', type: 'float32', dims: shape, data: new Float32Array(shape.reduce((a, b) => a * b, 1)) }] });
  const preparation = (shape: number[], layout: 'nchw' | 'nhwc' | undefined): Parameters<typeof augmentationFor>[1] => ({ recipe: layout && checkPreprocessing({ layout }), description: '', inputs: [{ name: 'x', type: 'float32' }], inputDims: [1, ...shape] });

  it.each<[number[], 'nchw' | 'nhwc' | undefined, boolean]>([[[3, 32, 32], 'nchw', true], [[32, 32, 3], 'nhwc', true], [[3, 12, 12], 'nchw', false], [[3, 32, 32], undefined, true], [[224, 224, 3], undefined, true], [[1, 128, 9], undefined, false], [[64, 32, 32], undefined, false], [[16, 16, 16], undefined, false], [[3, 16], undefined, false]])(
    '%j prepared as %s: %s', (shape, layout, changed) => {
      expect(augmentationFor(samples(shape), preparation(shape, layout))).toEqual(changed ? { shift: 1 / 8, flip: true, blend: true, layout: layout ?? (shape[0] === 3 ? 'nchw' : 'nhwc') } : undefined);
    });
});
