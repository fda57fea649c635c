import { mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { pruneTable } from '../../../src/engine/cli/pruneTable.ts';
import { InputError, UnsupportedModelError } from '../../../src/engine/errors.ts';
import { makeNode } from '../../../src/engine/onnx/attributes.ts';
import { valueInfo } from '../../../src/engine/onnx/buildModel.ts';
import { encodeModel, loadModel, saveModel } from '../../../src/engine/onnx/modelFile.ts';
import { floatsOf, int64Tensor } from '../../../src/engine/onnx/tensor.ts';
import { analyse } from '../../../src/engine/pruning/analysis.ts';
import { inspectModel, inspectionTable } from '../../../src/engine/pruning/inspect.ts';
import { pruneCommand } from '../../../src/engine/pruning/prune.ts';
import { applyPlan } from '../../../src/engine/pruning/surgery.ts';
import { keptCount, uniformKept, stepOf } from '../../../src/engine/pruning/uniform.ts';
import { Network, type Model, dimsByName } from './network.ts';

function smallNetwork(): Model {
  const net = new Network(), x = net.input('x', ['batch', 3, 8, 8]);
  const y = net.op('Relu', [net.conv(net.op('Relu', [net.conv(x, 3, 16, [3, 3])]), 16, 20, [3, 3])]);
  net.output(net.op('Gemm', [net.op('Flatten', [net.op('GlobalAveragePool', [y])]), net.weight([20, 5]), net.weight([5])]));
  return net.model();
}

describe('prune', () => {
  let folder = '', path = '';
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'prune-'));
    path = join(folder, 'model.onnx');
    await saveModel(smallNetwork(), path);
  });
  afterEach(async () => { await rm(folder, { recursive: true, force: true }); });
  const options = (more: object) => ({ model: path, out: join(folder, 'small.onnx'), ...more });

  it('halves every group, and its plan repeats the same file', async () => {
    const plan = join(folder, 'plan.json');
    const result = await pruneCommand(options({ preserve: 0.5, planOut: plan }));
    expect(result.after.macs / result.before.macs).toBeCloseTo(0.26, 1);
    expect(result.after.macs).toBe((await analyse((await loadModel(result.out)).proto)).macs);
    const content = JSON.parse(await readFile(plan, 'utf8')) as { format: string; model: { sha256: string }; groups: { channels: number; kept: number[]; producers: { kept: number[] }[] }[] };
    expect(content.format).toBe('auto-compress/plan@1');
    expect(content.model.sha256).toMatch(/^[0-9a-f]{64}$/);
    expect(content.groups.map(({ channels, kept }) => [channels, kept.length])).toEqual([[16, 8], [20, 10]]);
    await pruneCommand({ model: path, out: join(folder, 'again.onnx'), plan });
    expect(await readFile(join(folder, 'again.onnx'))).toEqual(await readFile(result.out));
  });

  it('makes the model of a plan of single weights: the smallest are zero, nothing else changes', async () => {
    const plan = join(folder, 'plan.json'), { graph } = (await loadModel(path)).proto, [name] = graph.node.filter(({ opType }) => opType === 'Conv').map(({ input }) => input[1]!);
    await pruneCommand(options({ preserve: 1, planOut: plan }));
    const content = JSON.parse(await readFile(plan, 'utf8')) as object;
    await writeFile(plan, JSON.stringify({ ...content, weights: [{ initializer: name, preserve: 0.25 }] }));
    const { out, before: { sparse: whole }, after } = await pruneCommand(options({ plan })), values = async (file: string): Promise<[string, Float32Array][]> => (await loadModel(file)).proto.graph.initializer.filter(({ dataType }) => dataType === 1).map((tensor) => [tensor.name, floatsOf(tensor)]);
    const before = new Map(await values(path));
    for (const [own, now] of await values(out)) {
      const was = before.get(own)!;
      if (own !== name) { expect(now).toEqual(was); continue; }
      const left = now.filter((value) => value !== 0), gone = was.filter((_, i) => now[i] === 0);
      expect(left).toHaveLength(Math.round(0.25 * was.length));
      expect(left).toEqual(was.filter((_, i) => now[i] !== 0));
      expect(Math.max(...gone.map(Math.abs))).toBeLessThanOrEqual(Math.min(...left.map(Math.abs)));
    }
    const gone = Math.round(0.75 * 3 * 16 * 9);
    expect(after.sparse!.nonZero).toBe(whole!.nonZero - gone);
    expect(after.sparse!.storedBytes).toBeLessThan(whole!.storedBytes - 3 * gone);
    await writeFile(plan, JSON.stringify({ ...content, weights: [{ initializer: 'nothing', preserve: 0.25 }] }));
    await expect(pruneCommand(options({ plan }))).rejects.toThrow('the model has no weight "nothing"');
  });

  it('rounds kept counts of wide groups to 8 unless told otherwise, which is what kernels are fast on', async () => {
    const net = new Network(), x = net.input('x', ['batch', 3, 8, 8]);
    net.output(net.conv(net.op('Relu', [net.conv(x, 3, 100)]), 100, 4));
    await saveModel(net.model(), path);
    const widths = async (more: object) => [...dimsByName((await loadModel((await pruneCommand(options({ preserve: 0.55, ...more }))).out)).proto).values()].filter((own) => own.length === 4).map((own) => own[0]);
    expect(await widths({})).toEqual([56, 4]);
    expect(await widths({ roundTo: 0 }), 'as compress understands it').toEqual([56, 4]);
    expect(await widths({ roundTo: 1 })).toEqual([55, 4]);
  });

  it('rounds kept counts where asked', async () => {
    const result = await pruneCommand(options({ preserve: 0.6, roundTo: 8 }));
    const dims = dimsByName((await loadModel(result.out)).proto);
    expect([...dims.values()].filter((own) => own.length === 4).map((own) => own[0])).toEqual([8, 16]);
  });

  it('keeps external weights outside', async () => {
    const inside = await saveModel(smallNetwork(), path).then(() => loadModel(path));
    await saveModel(smallNetwork(), path, { externalData: true });
    const { before } = await pruneCommand(options({ preserve: 0.5 }));
    expect((await readdir(folder)).sort()).toEqual(['model.onnx', 'model.onnx.data', 'small.onnx', 'small.onnx.data']);
    for (const size of [before.sizeBytes, (await loadModel(path)).sizeBytes]) expect(size / inside.sizeBytes, 'counts the weights beside the file').toBeGreaterThan(0.98);
  });

  it.each([
    ['neither ratio nor plan', {}, 'Give either --preserve R or --plan FILE.'],
    ['a ratio of 0', { preserve: 0 }, 'is not a ratio between 0 and 1'],
    ['a rounding of -1', { preserve: 0.5, roundTo: -1 }, 'is not a whole number from 0 to 64'],
    ['a rounding of 1.5', { preserve: 0.5, roundTo: 1.5 }, 'is not a whole number from 0 to 64'],
    ['a plan that does not exist', { plan: '/no/plan.json' }, 'there is no such file'],
  ])('refuses %s and writes nothing', async (_, more, message) => {
    await expect(pruneCommand(options(more))).rejects.toThrow(message);
    expect(await readdir(folder)).toEqual(['model.onnx']);
  });

  it('refuses a ratio for a model in which nothing can be removed, and writes nothing', async () => {
    const net = new Network();
    await saveModel(net.output(net.conv(net.input('x', ['batch', 3, 8, 8]), 3, 4)).model(), path);
    await expect(pruneCommand(options({ preserve: 0.5 }))).rejects.toThrow(`${path} has no channels that can be removed (output of the graph)`);
    expect(await readdir(folder)).toEqual(['model.onnx']);
  });

  it('shows no ratio to nothing', () => {
    const none = { macs: 0, params: 8, sizeBytes: 1000 };
    expect(pruneTable({ out: 'small.onnx', before: none, after: { ...none, params: 4 } })).toEqual(['            before   after    left', 'MACs             0       0       -', 'parameters       8       4   50.0%', 'file size   1.0 kB  1.0 kB  100.0%', 'Written to small.onnx']);
  });

  it('runs what it has made, and writes nothing that does not run', async () => {
    const broken = ({ graph, ...model }: Model): Model => {
      const [last] = graph.output, shape = int64Tensor('seven', [1], [7]); // fits no batch: found when it runs
      return { ...model, graph: { ...graph, node: [...graph.node, makeNode('Reshape', [last!.name, shape.name], ['y'])], initializer: [...graph.initializer, shape], output: [valueInfo('y')] } };
    };
    await expect(pruneCommand(options({ preserve: 0.5, repair: (_: Model, _1: unknown, _2: unknown, pruned: Model) => Promise.resolve({ model: broken(pruned), layers: 1, preprocessing: '' }) }))).rejects.toThrow('The pruned model does not run, so it was not written');
    expect(await readdir(folder)).toEqual(['model.onnx']);
  });

  it.each([
    ['{', 'it is not JSON'],
    ['{"format":"other"}', '"format"'],
    [JSON.stringify({ format: 'auto-compress/plan@1', model: { path: 'm', sha256: '00' }, groups: [], frozen: [] }), 'it was made for another model'],
  ])('refuses the plan %s', async (text, message) => {
    const plan = join(folder, 'plan.json');
    await writeFile(plan, text);
    const failure = pruneCommand(options({ plan }));
    await expect(failure).rejects.toThrow(InputError);
    await expect(failure).rejects.toThrow(message);
  });

  it('refuses a plan with unknown groups or channels', async () => {
    const plan = join(folder, 'plan.json');
    await pruneCommand(options({ preserve: 0.5, planOut: plan }));
    const content = JSON.parse(await readFile(plan, 'utf8')) as { groups: { id: string; kept: number[] }[] };
    for (const [change, message] of [[{ id: 'nothing' }, 'no pruning group "nothing"'], [{ kept: [99] }, 'no channel 99'], [{ kept: [] }, "can't lose all its channels"]] as const) {
      await writeFile(plan, JSON.stringify({ ...content, groups: [{ ...content.groups[0], ...change }] }));
      await expect(pruneCommand({ model: path, out: join(folder, 'x.onnx'), plan })).rejects.toThrow(message);
    }
  });

  it('refuses quantised models and says what to do', async () => {
    const net = new Network(), x = net.input('x', [1, 4]);
    net.output(net.op('DequantizeLinear', [net.op('QuantizeLinear', [x, net.weight([], { mean: 1 })]), net.weight([], { mean: 1 })]));
    await expect(analyse(net.model())).rejects.toThrow(UnsupportedModelError);
    await expect(analyse(net.model())).rejects.toThrow('Compress the float model first and quantise the result afterwards');
  });

  it('inspects a model: groups, coupled layers, frozen layers with reasons', async () => {
    const inspection = await inspectModel(path);
    expect(inspection.groups.map(({ channels }) => channels)).toEqual([16, 20]);
    expect(inspection.layers.map(({ group, outChannels, inChannels }) => [group, inChannels, outChannels])).toEqual([[0, 3, 16], [1, 16, 20], [-1, 20, 5]]);
    expect(inspection.inputs).toEqual([{ name: 'x', shape: ['batch', 3, 8, 8], elementType: 'float32' }]);
    // the first convolution, and the second one's share of its inputs: all of both
    expect(inspection.groups[0]!.macs).toBe(64 * 9 * (3 * 16 + 16 * 20));
    const table = inspectionTable(inspection).join('\n');
    expect(table).toContain('output of the graph: 1');
    expect(table).toMatch(/Conv_\d+ +16 /);
  });
});

describe('surgery', () => {
  it('shares what does not change and never changes its input', async () => {
    const model = smallNetwork(), bytes = (own: Model): Buffer => Buffer.concat(encodeModel(own)), before = bytes(model);
    const analysis = await analyse(model), [first] = analysis.groups;
    const pruned = applyPlan(model, analysis, new Map([[first!.id, [0, 5, 7]]]));
    expect(bytes(model).equals(before)).toBe(true);
    const last = (own: Model) => own.graph.initializer.at(-1);
    expect(last(pruned)).toBe(last(model));
    expect(pruned.graph.node.every((node, i) => node === model.graph.node[i])).toBe(true);
    expect(() => applyPlan(model, analysis, new Map([['nothing', [0]]]))).toThrow('no pruning group');
    expect(() => applyPlan(model, analysis, new Map([[first!.id, []]]))).toThrow('would be empty');
  });
});

describe('what kept counts are multiples of', () => {
  it.each([
    [10, 0, 1], [16, 0, 2], [32, 0, 4], [64, 0, 8], [96, 0, 8], [128, 0, 16], [512, 0, 16], [1024, 0, 32], [20, 16, 16], [64, 16, 16], [10, 1, 1], [512, 1, 16], [48, 3, 3],
  ])('in a group of %i channels, asked for %i: %i', (channels, roundTo, expected) => { expect(stepOf(channels, roundTo)).toBe(expected); });
});

describe('uniform pruning', () => {
  it.each([
    [64, 0.5, {}, 32], [3, 0.1, {}, 1], [10, 1, {}, 10], [64, 0.3, { roundTo: 8 }, 16], [6, 0.5, { roundTo: 8 }, 6], [64, 0.01, { minChannels: 4 }, 4], [20, 0.9, { roundTo: 8 }, 16], [64, 0.1, { roundTo: 8, minChannels: 9 }, 16],
    [64, 0.3, { roundTo: stepOf }, 16], [20, 0.5, { roundTo: stepOf }, 10], [6, 0.5, { roundTo: stepOf }, 3],
  ])('keeps of %i channels at ratio %f with %o: %i', (channels, preserve, more, expected) => { expect(keptCount(channels, preserve, more)).toBe(expected); });

  it('prunes one factor of an axis that is a product, the one with most units', async () => {
    const net = new Network(), x = net.input('x', ['batch', 3, 8, 8]);
    net.output(net.conv(net.op('Relu', [net.conv(net.conv(x, 3, 32), 32, 32, [3, 3], { groups: 4 })]), 32, 5));
    const analysis = await analyse(net.model()), kept = uniformKept(analysis, 0.5);
    expect(analysis.groups.map(({ channels }) => channels).sort((a, b) => a - b)).toEqual([4, 8, 8]);
    expect([...kept.values()].map(({ length }) => length)).toEqual([4, 4]);
  });
});
