import { join } from 'node:path';
import type { GraphProto, ModelProto } from 'onnx-buf';
import { describe, expect, it } from 'vitest';
import { compress } from '../../../src/engine/compress.ts';
import { openDataset } from '../../../src/engine/data/openDataset.ts';
import { evaluateFiles } from '../../../src/engine/evaluation/evaluate.ts';
import { Judge } from '../../../src/engine/evaluation/judge.ts';
import { prepare, taskInputDims } from '../../../src/engine/evaluation/taskData.ts';
import { Random } from '../../../src/engine/numerics/random.ts';
import { GraphBuilder } from '../../../src/engine/onnx/graphBuilder.ts';
import { loadModel, saveModel } from '../../../src/engine/onnx/modelFile.ts';
import { parseCompressOptions } from '../../../src/engine/protocol.ts';
import { pruneCommand } from '../../../src/engine/pruning/prune.ts';
import { repairOn } from '../../../src/engine/reconstruction/repair.ts';
import { temporaryFolder, writeTree } from '../../support/files.ts';
import { npy, npz } from '../../support/npy.ts';

const folder = await temporaryFolder(), random = new Random(3), count = 60, side = 6, size = 3 * side * side, values = Float32Array.from({ length: count * size }, () => random.normal());
const some = (length: number, scale: number): Float32Array => Float32Array.from({ length }, () => scale * random.normal());
await writeTree(folder, {
  'x.npz': npz({ x: npy('<f4', [count, 3, side, side], values), labels: npy('<i4', [count], Int32Array.from({ length: count }, (_, i) => i % 5)) }, 0),
  'pixels.npz': npz({ images: npy('|u1', [count, 3, side, side], Uint8Array.from({ length: count * size }, () => random.integer(256))) }, 0),
});
const weights = { first: some(8 * 27, 0.3), second: some(8 * 72, 0.2), last: some(5 * 8, 1) };

/** The same network, of which the batch is fixed or not. */
function network(batch: number | string): ModelProto & { graph: GraphProto } {
  const build = new GraphBuilder(), conv = (x: string, dims: number[], kernel: Float32Array): string => build.op('Relu', [build.op('Conv', [x, build.floats(dims, kernel), build.floats([8], new Float32Array(8))], { pads: [1, 1, 1, 1] })]);
  const features = build.op('GlobalAveragePool', [conv(conv(build.input('x', [batch, 3, side, side]), [8, 3, 3, 3], weights.first), [8, 8, 3, 3], weights.second)]);
  build.output(build.op('Gemm', [build.op('Flatten', [features]), build.floats([5, 8], weights.last)], { transB: 1 }), 'y', [batch, 5]);
  return build.model();
}
const saved = async (batch: number | string): Promise<string> => { const path = join(folder, `net-${batch}.onnx`); await saveModel(network(batch), path); return path; };
const samples = { count, inputs: [{ name: 'x', type: 'float32', dims: [3, side, side], data: values }] };

describe.each([1, 7, 8, 500])('a model that takes batches of %d alone', (batch) => {
  it('answers as one that takes any, whichever samples are looked at', async () => {
    const [fixed, free] = await Promise.all([batch, 'n'].map((each) => Judge.create(network(each), samples, 'agreement', { threads: 1 }))) as [Judge, Judge];
    expect(fixed.outputs).toEqual(free.outputs);
    for (const chosen of [Int32Array.of(3), Int32Array.from({ length: 11 }, (_, i) => 5 * i)]) {
      const looks = await Promise.all([[fixed, batch], [free, 'n']].map(async ([judge, each]) => { const trial = await (judge as Judge).trial(network(each as number)); try { return await trial.look(chosen); } finally { await trial.release(); } }));
      expect(looks[0]!.right).toEqual(looks[1]!.right);
      looks[0]!.probability.forEach((value, i) => { expect(value).toBeCloseTo(looks[1]!.probability[i]!, 5); });
    }
    fixed.reference.probability.forEach((value, i) => { expect(value).toBeCloseTo(free.reference.probability[i]!, 5); });
  });

  it('is evaluated alike, and images are prepared for it', async () => {
    const [fixed, free] = await Promise.all([batch, 'n'].map(saved)) as [string, string], data = join(folder, 'x.npz');
    expect((await evaluateFiles(fixed, data)).value).toBe((await evaluateFiles(free, data)).value);
    expect((await evaluateFiles(fixed, data, { metric: 'agreement', against: free })).value).toBe(1);
    const images = await openDataset(join(folder, 'pixels.npz')), recipes = await Promise.all([batch, 'n'].map(async (each) => (await prepare(network(each), images, await taskInputDims(network(each), images), { seed: 1 })).recipe));
    await images.close();
    expect(recipes[0]).toEqual(recipes[1]);
  });

  it('is compressed, and pruned with repair', async () => {
    const model = await saved(batch), data = join(folder, 'x.npz'), out = join(folder, `out-${batch}.onnx`);
    const report = await compress(parseCompressOptions({ model, val: data, metric: 'agreement', target: { metric: 'macs', value: 0.6 }, episodes: 3, roundTo: 1, refine: 0, threads: 1, out, runDir: join(folder, `run-${batch}`) }), { emit: () => undefined, signal: new AbortController().signal });
    expect(report.after.macs / report.before.macs).toBeLessThanOrEqual(0.6);
    await pruneCommand({ model, out, preserve: 0.75, roundTo: 1, repair: repairOn(data) });
    expect((await loadModel(out)).proto.graph.initializer.some(({ name }) => name.endsWith(':bias'))).toBe(true);
  }, 120_000);
});
