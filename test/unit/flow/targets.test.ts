import { existsSync, readFileSync } from 'node:fs';
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { compress } from '../../../src/engine/compress.ts';
import { InputError, UnreachableTargetError } from '../../../src/engine/errors.ts';
import { Random } from '../../../src/engine/numerics/random.ts';
import { makeNode } from '../../../src/engine/onnx/attributes.ts';
import { buildModel, valueInfo } from '../../../src/engine/onnx/buildModel.ts';
import { loadModel, saveModel } from '../../../src/engine/onnx/modelFile.ts';
import { DataType, floatTensor, floatsOf, withFloats } from '../../../src/engine/onnx/tensor.ts';
import { type CompressRequest, type Report, parseCompressOptions, parseTarget } from '../../../src/engine/protocol.ts';
import { Session, floats } from '../../../src/engine/runtime/session.ts';
import { temporaryFolder, writeTree } from '../../support/files.ts';
import { npy, npz } from '../../support/npy.ts';

const folder = await temporaryFolder(), random = new Random(11), model = join(folder, 'net.onnx'), data = join(folder, 'data.npz'), count = 240, side = 16;
const normal = (size: number, scale: number): Float32Array => Float32Array.from({ length: size }, () => scale * random.normal());

/** A small convolutional network on random inputs, labelled by itself: its accuracy is 1. */
beforeAll(async () => {
  const nodes = [], initializers = [], widths = [3, 32, 64, 64];
  for (let layer = 1; layer < widths.length; layer++) {
    const [ins, outs] = [widths[layer - 1]!, widths[layer]!] as const;
    initializers.push(floatTensor(`w${layer}`, [outs, ins, 3, 3], normal(outs * ins * 9, Math.sqrt(2 / (ins * 9)))), floatTensor(`b${layer}`, [outs], normal(outs, 0.1)));
    nodes.push(makeNode('Conv', [layer === 1 ? 'x' : `r${layer - 1}`, `w${layer}`, `b${layer}`], [`c${layer}`], { pads: [1, 1, 1, 1] }), makeNode('Relu', [`c${layer}`], [`r${layer}`]));
  }
  const net = buildModel({
    inputs: [valueInfo('x', ['n', 3, side, side])], outputs: [valueInfo('y', ['n', 6])],
    nodes: [...nodes, makeNode('GlobalAveragePool', ['r3'], ['p']), makeNode('Flatten', ['p'], ['f']), makeNode('Gemm', ['f', 'w4', 'b4'], ['y'])],
    initializers: [...initializers, floatTensor('w4', [64, 6], normal(64 * 6, 1)), floatTensor('b4', [6], new Float32Array(6))],
  });
  await saveModel(net, model);
  // images of different colours and strengths, so that answers differ
  const images = new Float32Array(count * 3 * side * side);
  for (let i = 0; i < count; i++) for (let c = 0; c < 3; c++) { const mean = random.normal(), strength = random.uniform(0.2, 1.5); for (let p = 0; p < side * side; p++) images[(i * 3 + c) * side * side + p] = mean + strength * random.normal(); }
  const session = await Session.create(net);
  const { y } = await session.run({ x: floats(images, [count, 3, side, side]) });
  await session.release();
  const mean = Array.from({ length: 6 }, (_, k) => { let sum = 0; for (let i = 0; i < count; i++) sum += Number(y!.data[i * 6 + k]); return sum / count; });
  initializers.length = 0;
  const centred = buildModel({ inputs: net.graph.input, outputs: net.graph.output, nodes: net.graph.node, initializers: net.graph.initializer.map((tensor) => (tensor.name === 'b4' ? floatTensor('b4', [6], Float32Array.from(mean, (value) => -value)) : tensor)) });
  await saveModel(centred, model);
  const labels = Int32Array.from({ length: count }, (_, i) => { const row = mean.map((value, k) => Number(y!.data[i * 6 + k]) - value); return row.indexOf(Math.max(...row)); });
  await writeTree(folder, {
    'data.npz': npz({ x: npy('<f4', [count, 3, side, side], images), labels: npy('<i4', [count], labels) }), 'few.npz': npz({ x: npy('<f4', [20, 3, side, side], images.subarray(0, 20 * 3 * side * side)) }),
  });
});

let runs = 0;
const run = (target: string, more: Partial<CompressRequest> = {}): Promise<Report> => {
  const name = join(folder, `run${++runs}`);
  return compress(parseCompressOptions({ model, val: data, target: parseTarget(target), episodes: 5, seed: 3, roundTo: 4, threads: 1, out: `${name}.onnx`, runDir: name, ...more }), { emit: () => undefined, signal: new AbortController().signal });
};
const nonZero = async (path: string): Promise<number> => (await loadModel(path)).proto.graph.initializer.reduce((sum, tensor) => sum + floatsOf(tensor).filter((value) => value !== 0).length, 0);

describe('a run with', () => {
  it('accuracy-drop keeps the guarantee, and is smaller where more may be lost', async () => {
    const [strict, loose] = [await run('accuracy-drop=6'), await run('accuracy-drop=20')] as const;
    expect(strict.before.accuracy.value).toBeGreaterThan(0.99);
    expect(strict.after.accuracy.value).toBeGreaterThanOrEqual(strict.before.accuracy.value - 0.06 - 1e-9);
    expect(loose.after.accuracy.value).toBeGreaterThanOrEqual(loose.before.accuracy.value - 0.2 - 1e-9);
    expect(strict.after.macs).toBeLessThan(strict.before.macs);
    expect(loose.after.macs).toBeLessThan(strict.after.macs);
    expect(new Set(strict.candidates.map(({ macs }) => macs.toFixed(2))).size).toBeGreaterThan(1); // the agent searches how much as well
  }, 240_000);

  it('a random search tells its point of the trade-off as a baseline\'s, not as an episode of the agent', async () => {
    const { pareto, candidates, baselines } = await run('macs=0.6', { baseline: ['random'], roundTo: 1, refine: 0, seed: 6, episodes: 2 }), macs = baselines.find(({ policy }) => policy === 'random')!.macs;
    expect(existsSync(join(folder, `run${runs}`, 'pareto-random.plan.json'))).toBe(true);
    expect(candidates.map((candidate) => candidate.macs)).not.toContain(macs);
    expect(pareto.filter((point) => point.macs === macs).map(({ episode }) => episode)).toEqual([0]);
  }, 240_000);

  it('latency is predicted for every candidate, and measured at the end; a table is kept', async () => {
    process.env['XDG_CACHE_HOME'] = join(folder, 'cache');
    const report = await run('latency=0.9', { roundTo: 8 });
    for (const { latency } of report.candidates) { expect(latency).toBeGreaterThan(0); expect(latency).toBeLessThanOrEqual(0.9); }
    expect(report.notes.join(' ')).toMatch(/predicted from the latency table, [\d.]+ measured/);
    expect(report.after.macs).toBeLessThan(report.before.macs);
    expect(JSON.parse(readFileSync(join(folder, `run${runs}`, 'latency-table.json'), 'utf8'))).toMatchObject({ format: 'auto-compress/latency-table@1' });
    await expect(run('latency=0.001')).rejects.toThrow(UnreachableTargetError);
  }, 240_000);

  it('several budgets keeps all of them, and comes near one', async () => {
    const { before, after, candidates, target } = await run('params=0.6,macs=0.55'), shares = [after.params / before.params / 0.6, after.macs / before.macs / 0.55];
    expect(target).toEqual({ metric: 'params', value: 0.6, and: [{ metric: 'macs', value: 0.55 }] });
    expect(Math.max(...shares)).toBeLessThanOrEqual(1);
    expect(Math.max(...shares)).toBeGreaterThan(0.9);
    for (const { macs, params } of candidates) { expect(params).toBeLessThanOrEqual(0.6); expect(macs).toBeLessThanOrEqual(0.55); }
    await expect(run('params=0.6,macs=0.001')).rejects.toThrow(/target macs=0.001 can't be reached/);
  }, 240_000);

  it('a budget beside a limit to time keeps both', async () => {
    process.env['XDG_CACHE_HOME'] = join(folder, 'cache');
    const { before, after, candidates, notes } = await run('latency=0.95,macs=0.6', { roundTo: 8 });
    expect(after.macs / before.macs).toBeLessThanOrEqual(0.6);
    expect(notes.join(' ')).toMatch(/predicted from the latency table, [\d.]+ measured/);
    for (const { latency, macs } of candidates) { expect(latency).toBeLessThanOrEqual(0.95); expect(macs).toBeLessThanOrEqual(0.6); }
  }, 240_000);

  it.each([
    ['macs=0.5,macs=0.4', /macs stands there twice/], ['accuracy-drop=1,macs=0.5', /stands alone/], ['macs=0.5,latency=1.5', /Target latency=1.5: expected a fraction/], ['macs=0.5,', /expected macs=R/],
  ])('%s is refused', (text, message) => {
    expect(() => parseCompressOptions({ model, val: data, target: parseTarget(text) })).toThrow(message);
  });

  it('fewer images than a step of training takes learns from those', async () => {
    const { steps, notes } = await run('macs=0.7', { calibration: join(folder, 'few.npz'), refine: 1 });
    expect(steps.map(({ step }) => step)).toEqual(['reconstruct', 'refine']);
    expect(notes.join(' ')).not.toMatch(/left out/);
  }, 240_000);

  it('training data that can\'t be opened ends before the search', async () => {
    const stages: string[] = [], options = parseCompressOptions({ model, val: data, target: parseTarget('macs=0.7'), finetune: 1, train: join(folder, 'absent.npz'), out: join(folder, 'absent.onnx'), runDir: join(folder, 'absent') });
    await expect(compress(options, { emit: (event) => { if (event.type === 'stage') stages.push(event.stage); }, signal: new AbortController().signal })).rejects.toThrow(/absent\.npz/);
    expect(stages).not.toContain('calibrate');
  }, 240_000);

  it('single weights keeps a share of them, in a dense file of the same shape, and keeps zeros in training', async () => {
    const report = await run('params=0.3', { method: 'weights', refine: 1 });
    expect(report.after.params).toBe(report.before.params);
    const left = await nonZero(report.out);
    expect(left / report.before.params).toBeLessThanOrEqual(0.3);
    expect(left / report.before.params).toBeGreaterThan(0.28);
    expect(report.after.sparse).toMatchObject({ nonZero: left });
    expect(report.after.sparse!.storedBytes).toBeLessThan(0.4 * report.before.sizeBytes);
    expect(report.after.sparse!.zipBytes).toBeLessThan(0.5 * report.before.sparse!.zipBytes);
    expect(report.after.accuracy.value).toBeGreaterThan(0.6); // six classes
    expect(report.layers.some(({ weightSparsity }) => weightSparsity > 0.5)).toBe(true);
    expect(report.layers.every(({ preserveRatio }) => preserveRatio === 1)).toBe(true);
    expect(JSON.parse(readFileSync(join(folder, `run${runs}`, 'plan.json'), 'utf8')).weights).toHaveLength(4);
  }, 240_000);

  it.each([['channels', 0.5], ['weights', 0.3]] as const)('%s of a network without biases counts those that the repair adds', async (method, most) => {
    const { proto } = await loadModel(model), bare = join(folder, 'bare.onnx'), isBias = (name: string | undefined): boolean => /^b\d$/.test(name ?? '');
    const node = proto.graph.node.map((each) => ({ ...each, input: each.input.filter((name) => !isBias(name)) }));
    await saveModel({ ...proto, graph: { ...proto.graph, node, initializer: proto.graph.initializer.filter(({ name }) => !isBias(name)) } }, bare);
    const { before, after, candidates, out } = await run(`params=${most}`, { model: bare, method, roundTo: 1, refine: 0 }), left = method === 'weights' ? await nonZero(out) : after.params;
    expect((await loadModel(out)).proto.graph.initializer.some(({ name }) => name.endsWith(':bias'))).toBe(true);
    expect(left / before.params).toBeLessThanOrEqual(most);
    expect(left / before.params).toBeGreaterThan(0.95 * most);
    expect(candidates.map(({ params }) => params)).toContainEqual(expect.closeTo(left / before.params, 3));
  }, 240_000);

  it('single weights counts those of the original that are not zero', async () => {
    const sparse = await run('params=0.3', { method: 'weights', refine: 0 }), { before, after, out, candidates } = await run('params=0.5', { model: sparse.out, method: 'weights', refine: 0 }), left = await nonZero(out);
    expect(before.sparse!.nonZero).toBe(await nonZero(sparse.out));
    expect(left / before.sparse!.nonZero).toBeLessThanOrEqual(0.5);
    expect(left / before.sparse!.nonZero).toBeGreaterThan(0.47);
    expect(after.sparse!.nonZero).toBe(left);
    expect(candidates.map(({ params }) => params)).toContainEqual(expect.closeTo(left / before.sparse!.nonZero, 2));
  }, 240_000);

  it('single weights counts the size of bitmap and values', async () => {
    const report = await run('size=0.4', { method: 'weights' });
    expect(report.after.sparse!.storedBytes / report.before.sizeBytes).toBeLessThanOrEqual(0.4);
    expect(report.after.sparse!.storedBytes / report.before.sizeBytes).toBeGreaterThan(0.37);
  }, 240_000);

  it.each([['channels', 'float32', 0.7], ['channels', 'float16', 0.7], ['weights', 'float32', 0.3], ['weights', 'float16', 0.4]] as const)('%s and size keeps it to the byte where a small file (%s) gets biases from the repair', async (method, type, size) => {
    const dataType = type === 'float16' ? DataType.FLOAT16 : DataType.FLOAT, small = join(folder, `${type}.onnx`), widths = [3, 16, 16, 16, 16], names = ['x', 'h1', 'h2', 'h3', 'h4'], nodes = [];
    const weight = (name: string, dims: readonly number[]): ReturnType<typeof floatTensor> => withFloats({ ...floatTensor(name, [], new Float32Array(1)), dataType }, dims, normal(dims.reduce((a, b) => a * b, 1), 0.2));
    for (let i = 1; i < widths.length; i++) nodes.push(makeNode('Conv', [i === 1 ? 'in' : names[i - 1]!, `w${i}`], [`c${i}`]), makeNode('Relu', [`c${i}`], [names[i]!]));
    await saveModel(buildModel({
      inputs: [valueInfo('x', ['n', 3, side, side])], outputs: [valueInfo('y', ['n', 6])],
      nodes: [makeNode('Cast', ['x'], ['in'], { to: dataType }), ...nodes, makeNode('GlobalAveragePool', ['h4'], ['p']), makeNode('Flatten', ['p'], ['f']), makeNode('Gemm', ['f', 'w5'], ['g']), makeNode('Cast', ['g'], ['y'], { to: DataType.FLOAT })],
      initializers: [...widths.slice(1).map((outs, i) => weight(`w${i + 1}`, [outs, widths[i]!, 3, 3])), weight('w5', [16, 6])],
    }), small);
    const { before, after, out } = await run(`size=${size}`, { model: small, val: join(folder, 'few.npz'), method, episodes: 2, roundTo: 1, refine: 0 }), bytes = method === 'weights' ? after.sparse!.storedBytes : (await stat(out)).size;
    expect((await loadModel(out)).proto.graph.initializer.filter(({ name }) => name.endsWith(':bias')).length).toBeGreaterThanOrEqual(4);
    expect(bytes / before.sizeBytes).toBeLessThanOrEqual(size);
    expect(bytes / before.sizeBytes).toBeGreaterThan(size - 0.02);
  }, 240_000);

  it.each(['size=0.4,params=0.2', 'params=0.6,size=0.3'])('single weights and %s keeps both', async (target) => {
    const report = await run(target, { method: 'weights', refine: 0 }), [params, size] = target.startsWith('size') ? [0.2, 0.4] : [0.6, 0.3];
    const shares = [await nonZero(report.out) / report.before.params / params, report.after.sparse!.storedBytes / report.before.sizeBytes / size];
    expect(Math.max(...shares)).toBeLessThanOrEqual(1);
    expect(Math.max(...shares)).toBeGreaterThan(0.9);
  }, 240_000);

  it('single weights and a target that they have no influence on is refused', () => {
    expect(() => parseCompressOptions({ model, val: data, method: 'weights', target: parseTarget('macs=0.5') })).toThrow(InputError);
  });
});
