import { copyFileSync, existsSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { describe, expect, it } from 'vitest';
import { compress } from '../../../src/engine/compress.ts';
import { evaluateFiles } from '../../../src/engine/evaluation/evaluate.ts';
import { Random } from '../../../src/engine/numerics/random.ts';
import { makeNode } from '../../../src/engine/onnx/attributes.ts';
import { buildModel, valueInfo } from '../../../src/engine/onnx/buildModel.ts';
import { copyOf } from '../../../src/engine/onnx/copyOf.ts';
import { loadModel, saveModel } from '../../../src/engine/onnx/modelFile.ts';
import { DataType, dimsOf, floatTensor, floatsOf, withFloats } from '../../../src/engine/onnx/tensor.ts';
import { type CompressRequest, type Report, parseCompressOptions } from '../../../src/engine/protocol.ts';
import { temporaryFolder, writeTree } from '../../support/files.ts';
import { npy, npz } from '../../support/npy.ts';
import { smallTask } from '../../support/smallTask.ts';

const folder = await temporaryFolder(), zoo = resolve('../shared/zoo'), random = new Random(5);
const normal = (count: number, scale = 1): Float32Array => Float32Array.from({ length: count }, () => scale * random.normal());
const run = (model: string, val: string, more: Partial<CompressRequest> = {}): Promise<Report> => compress(parseCompressOptions({ model, val, target: { metric: 'macs', value: 0.6 }, episodes: 4, roundTo: 1, out: `${model}.out.onnx`, runDir: `${model}.run`, ...more }), { emit: () => undefined, signal: new AbortController().signal });

describe('compressing models that are no image classifiers, without labels', () => {
  it('a regression on a table and a token, fed as tensors by the names of its inputs', async () => {
    // y = W3 relu(W2 relu(W1 x + E[token])) with redundant hidden units: half of them are copies
    const half = normal(6 * 16, 0.4), doubled = new Float32Array(6 * 32);
    for (let i = 0; i < 6; i++) for (let j = 0; j < 32; j++) doubled[i * 32 + j] = half[i * 16 + (j % 16)]!;
    const table = normal(5 * 16, 0.3), embeddings = new Float32Array(5 * 32);
    for (let i = 0; i < 5; i++) for (let j = 0; j < 32; j++) embeddings[i * 32 + j] = table[i * 16 + (j % 16)]!;
    const model = join(folder, 'regression.onnx');
    await saveModel(buildModel({
      inputs: [valueInfo('x', ['n', 6]), valueInfo('token', ['n'], DataType.INT64)], outputs: [valueInfo('y', ['n', 1])],
      initializers: [floatTensor('w1', [6, 32], doubled), floatTensor('b1', [32], new Float32Array(32)), floatTensor('e', [5, 32], embeddings), floatTensor('w2', [32, 24], normal(32 * 24, 0.2)), floatTensor('b2', [24], normal(24, 0.1)), floatTensor('w3', [24, 1], normal(24, 0.5)), floatTensor('b3', [1], Float32Array.of(2))],
      nodes: [makeNode('Gemm', ['x', 'w1', 'b1'], ['h']), makeNode('Gather', ['e', 'token'], ['t'], { axis: 0 }), makeNode('Add', ['h', 't'], ['s']), makeNode('Relu', ['s'], ['r']),
        makeNode('Gemm', ['r', 'w2', 'b2'], ['h2']), makeNode('Relu', ['h2'], ['r2']), makeNode('Gemm', ['r2', 'w3', 'b3'], ['y'])],
    }), model);
    const count = 400, tokens = BigInt64Array.from({ length: count }, () => BigInt(random.integer(5)));
    await writeTree(folder, { 'table.npz': npz({ x: npy('<f4', [count, 6], normal(count * 6)), token: npy('<i8', [count], tokens) }) });
    const report = await run(model, join(folder, 'table.npz'));
    expect(report.before.accuracy).toMatchObject({ metric: 'agreement', value: 1, images: 0.3 * count }); // the others repair
    expect(report.after.macs / report.before.macs).toBeLessThanOrEqual(0.6);
    expect(report.after.accuracy.value).toBeGreaterThan(0.9); // the copies could go for nothing
    expect(report.after.accuracy.value).toBeLessThanOrEqual(1);
  }, 120_000);

  it('a network in half precision, from its input to its output', async () => {
    const { model: float32, data } = await smallTask(folder), { proto } = await loadModel(float32), model = join(folder, 'half.onnx');
    for (const { type } of [...proto.graph.input, ...proto.graph.output]) if (type?.value.case === 'tensorType') type.value.value.elemType = DataType.FLOAT16;
    proto.graph.initializer = proto.graph.initializer.map((tensor) => withFloats(copyOf(tensor, { dataType: DataType.FLOAT16 }), dimsOf(tensor), floatsOf(tensor)));
    await saveModel(proto, model);
    const report = await run(model, data, { target: { metric: 'size', value: 0.6 }, preprocess: '{"scale": 0.00392156862745098}' }), written = (await loadModel(report.out)).proto.graph;
    expect([...new Set(written.initializer.map(({ dataType }) => dataType))]).toEqual([DataType.FLOAT16]); // with the biases that the repair adds
    expect(report.after.sizeBytes / report.before.sizeBytes).toBeLessThanOrEqual(0.63); // in so small a file the names of new biases take three percent
    expect(report.after.accuracy.value).toBeCloseTo((await evaluateFiles(report.out, data, { against: model })).value, 1);
    expect(report.notes.join(' ')).toContain('The numbers of the model are float16');
    expect(report.after.accuracy.value).toBeGreaterThan(0.5);
  }, 120_000);

  it.skipIf(!existsSync(zoo))('a segmentation network of the zoo judged by its answer at every pixel, on random inputs (../shared/zoo is not part of a clone)', async () => {
    const name = 'seg__lraspp_mobilenet_v3_large', model = join(folder, `${name}.onnx`);
    for (const extension of ['onnx', 'json']) copyFileSync(join(zoo, `${name}.${extension}`), join(folder, `${name}.${extension}`));
    const { fill } = await import(pathToFileURL(join(zoo, 'fill.mjs')).href) as { fill: (folder: string, name: string) => void };
    fill(folder, name);
    const { input } = JSON.parse(readFileSync(join(folder, `${name}.json`), 'utf8')) as { input: number[] }, dims = [4, ...input.slice(1)];
    await writeTree(folder, { 'noise.npz': npz({ input: npy('<f4', dims, normal(dims.reduce((a, b) => a * b, 1))) }, 0) });
    const report = await run(model, join(folder, 'noise.npz'), { episodes: 1, roundTo: 8, target: { metric: 'macs', value: 0.8 } });
    expect(report.before.accuracy).toMatchObject({ metric: 'agreement', value: 1, images: 4 });
    expect(report.after.macs / report.before.macs).toBeLessThanOrEqual(0.8);
    expect(report.after.accuracy.value).toBeGreaterThan(1 / 21); // classes by chance
  }, 900_000);
});
