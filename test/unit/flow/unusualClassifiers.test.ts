import { join } from 'node:path';
import type { GraphProto, ModelProto } from 'onnx-buf';
import { describe, expect, it } from 'vitest';
import { compress } from '../../../src/engine/compress.ts';
import { Random } from '../../../src/engine/numerics/random.ts';
import { valueInfo } from '../../../src/engine/onnx/buildModel.ts';
import { GraphBuilder } from '../../../src/engine/onnx/graphBuilder.ts';
import { saveModel } from '../../../src/engine/onnx/modelFile.ts';
import { DataType } from '../../../src/engine/onnx/tensor.ts';
import { type CompressRequest, type Report, type RunEvent, parseCompressOptions } from '../../../src/engine/protocol.ts';
import { Session, floats } from '../../../src/engine/runtime/session.ts';
import { temporaryFolder, writeTree } from '../../support/files.ts';
import { npy, npz } from '../../support/npy.ts';

type Model = ModelProto & { graph: GraphProto };
const folder = await temporaryFolder(), random = new Random(7), count = 400;
const normal = (size: number, scale = 1): Float32Array => Float32Array.from({ length: size }, () => scale * random.normal());
const linear = (build: GraphBuilder, x: string, ins: number, outs: number): string => build.add(build.op('MatMul', [x, build.floats([ins, outs], normal(ins * outs, Math.sqrt(2 / ins)))]), build.floats([outs], normal(outs, 0.1)));
const hidden = (build: GraphBuilder, x: string): string => build.op('Relu', [linear(build, build.op('Relu', [linear(build, x, 16, 32)]), 32, 32)]);
const x = normal(count * 16);

/** Compresses a model with two epochs of refinement, unless told otherwise. @returns its report, and the events */
async function run(name: string, model: Model, arrays: Readonly<Record<string, Uint8Array>>, more: Partial<CompressRequest> = {}): Promise<Report & { events: RunEvent[] }> {
  const path = join(folder, `${name}.onnx`), events: RunEvent[] = [];
  await saveModel(model, path);
  await writeTree(folder, { [`${name}.npz`]: npz(arrays, 0) });
  const report = await compress(parseCompressOptions({
    model: path, val: join(folder, `${name}.npz`), target: { metric: 'macs', value: 0.6 }, episodes: 3, roundTo: 1, refine: 2, threads: 1, seed: 1, out: join(folder, `${name}.out.onnx`), runDir: join(folder, name), ...more,
  }), { signal: new AbortController().signal, emit: (event) => { events.push(event); } });
  return { ...report, events };
}
/** Mean losses of the epochs of training. */
const lossesOf = (events: readonly RunEvent[]): number[] => events.flatMap((event) => (event.type === 'training' && Number.isInteger(event.epoch) ? [event.loss] : []));

describe('compressing and training classifiers', () => {
  it('that give the probability of one class', async () => {
    const build = new GraphBuilder(), score = linear(build, hidden(build, build.input('x', ['n', 16])), 32, 1);
    build.output(build.op('Sigmoid', [build.sub(score, 0.4)]), 'y', ['n', 1]);
    const session = await Session.create(build.model()), answers = (await session.run({ x: floats(x, [count, 16]) }))['y']!.data as Float32Array;
    await session.release();
    const labels = Int32Array.from(answers, (p) => Number(p > 0.5)), { before, after, steps, notes, events } = await run('binary', build.model(), { x: npy('<f4', [count, 16], x), labels: npy('<i4', [count], labels) }, { finetune: 2 });
    expect(before.accuracy.value).toBe(1);
    expect(after.accuracy.value).toBeGreaterThan(0.85);
    expect(steps.map(({ step }) => step)).toEqual(['reconstruct', 'refine', 'finetune']);
    expect(notes.join(' ')).not.toMatch(/left out|guessing/);
    expect(events.find(({ type }) => type === 'data')).toMatchObject({ classes: 2, accuracy: 1 });
  }, 120_000);

  it('whose scores come after the number of the class', async () => {
    const build = new GraphBuilder(), scores = linear(build, hidden(build, build.input('x', ['n', 16])), 32, 8), answer = build.op('ArgMax', [scores], { axis: 1, keepdims: 0 });
    build.outputs.push(valueInfo(answer, ['n'], DataType.INT64), valueInfo(scores, ['n', 8]));
    const { notes, events } = await run('label', build.model(), { x: npy('<f4', [count, 16], x) });
    expect(notes.join(' ')).not.toContain('left out');
    expect(lossesOf(events)).toHaveLength(2);
  }, 120_000);

  it('that take one sample at a time, and have that in the size of a view', async () => {
    const build = new GraphBuilder(), image = build.input('x', [1, 4, 2, 2]), features = build.op('Relu', [build.op('Conv', [image, build.floats([32, 4, 1, 1], normal(128, 0.5)), build.floats([32], normal(32, 0.1))])]);
    build.output(linear(build, build.reshape(build.op('Relu', [build.op('Conv', [features, build.floats([16, 32, 2, 2], normal(2048, 0.2)), build.floats([16], normal(16, 0.1))])]), [1, -1]), 16, 8), 'y', [1, 8]);
    const { steps, notes, events } = await run('one', build.model(), { x: npy('<f4', [count, 4, 2, 2], x) });
    expect(notes.join(' ')).not.toContain('left out');
    expect(steps.map(({ step }) => step)).toEqual(['reconstruct', 'refine']);
    expect(lossesOf(events)[1]).toBeLessThan(lossesOf(events)[0]!);
  }, 120_000);

  it('of two inputs of open, different lengths', async () => {
    const build = new GraphBuilder(), pooled = (name: string, length: string): string => build.op('ReduceMean', [hidden(build, build.input(name, ['n', length, 16]))], { axes: [1], keepdims: 0 });
    build.output(linear(build, build.add(pooled('a', 'long'), pooled('b', 'longer')), 32, 8), 'y', ['n', 8]);
    const { notes, events } = await run('lengths', build.model(), { a: npy('<f4', [count, 5, 16], normal(count * 80)), b: npy('<f4', [count, 9, 16], normal(count * 144)) });
    expect(notes.join(' ')).not.toContain('left out');
    expect(lossesOf(events)).toHaveLength(2);
  }, 120_000);

  it('ends before the search where the training that was asked for can not be done, and leaves it out where it was not', async () => {
    const build = new GraphBuilder(), odd = build.op('Asin', [build.op('Tanh', [hidden(build, build.input('x', ['n', 16]))])]), model = (build.output(linear(build, odd, 32, 8), 'y', ['n', 8]), build.model()), arrays = { x: npy('<f4', [count, 16], x) };
    for (const asked of [{ refine: 0, finetune: 1 }, { refine: 1 }]) await expect(run('asked', model, arrays, asked)).rejects.toThrow(/^The training that was asked for can't be done: Can't differentiate .*Asin.* To compress without it, give --refine 0 and no --finetune\.$/);
    expect((await run('unasked', model, arrays, { refine: undefined })).notes.join(' ')).toMatch(/Refinement was left out: Can't differentiate .*Asin/);
  }, 120_000);
});
