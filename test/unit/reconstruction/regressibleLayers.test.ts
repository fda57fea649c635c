import { join } from 'node:path';
import type { GraphProto, ModelProto, TensorProto } from 'onnx-buf';
import { describe, expect, it } from 'vitest';
import { UnsupportedModelError } from '../../../src/engine/errors.ts';
import { evaluateFiles } from '../../../src/engine/evaluation/evaluate.ts';
import { Profile } from '../../../src/engine/numerics/profile.ts';
import { Random } from '../../../src/engine/numerics/random.ts';
import { GraphBuilder } from '../../../src/engine/onnx/graphBuilder.ts';
import { GraphView } from '../../../src/engine/onnx/graphView.ts';
import { loadModel, saveModel } from '../../../src/engine/onnx/modelFile.ts';
import { DataType, floatsOf, withFloats } from '../../../src/engine/onnx/tensor.ts';
import { analyse } from '../../../src/engine/pruning/analysis.ts';
import { pruneCommand } from '../../../src/engine/pruning/prune.ts';
import { applyPlan } from '../../../src/engine/pruning/surgery.ts';
import { uniformKept } from '../../../src/engine/pruning/uniform.ts';
import { zeroSmallest } from '../../../src/engine/pruning/zeroSmallest.ts';
import { AnchoredRefit } from '../../../src/engine/reconstruction/anchoredRefit.ts';
import { rankGroups } from '../../../src/engine/reconstruction/calibration.ts';
import { columnsOf, inputRows, outputRows, samplePositions } from '../../../src/engine/reconstruction/layerRows.ts';
import { tensorsFromMatrices, weightMatrices } from '../../../src/engine/reconstruction/layerWeights.ts';
import { rankWeights } from '../../../src/engine/reconstruction/rankWeights.ts';
import { refitTargets, withBiases } from '../../../src/engine/reconstruction/refitTargets.ts';
import { regressibleLayers, requireFloat32 } from '../../../src/engine/reconstruction/regressibleLayers.ts';
import { repairOn } from '../../../src/engine/reconstruction/repair.ts';
import { memoryLimits } from '../../../src/engine/reconstruction/rowBudget.ts';
import { sequentialRefit } from '../../../src/engine/reconstruction/sequentialRefit.ts';
import { runChunks } from '../../../src/engine/runtime/chunkedRun.ts';
import { product } from '../../../src/engine/runtime/matrix.ts';
import { floats, type Tensor } from '../../../src/engine/runtime/session.ts';
import { lastFeatures } from '../../../src/engine/training/features.ts';
import { whitenLayers } from '../../../src/engine/training/whitening.ts';
import { temporaryFolder, writeTree } from '../../support/files.ts';
import { npy } from '../../support/npy.ts';

const folder = await temporaryFolder(), random = new Random(7), images = 16, sizeOf = (dims: readonly number[]): number => dims.reduce((a, b) => a * b, 1);
const some = (count: number, scale = 1): Float32Array => Float32Array.from({ length: count }, () => scale * random.normal());
const budget = { rows: 256, perColumn: 0, points: 8, mostImages: 64, ...memoryLimits }, rankOptions = { budget, seed: 1, profile: new Profile() };
const feedsOf = (dims: readonly number[], scale = 1): { x: Tensor[] } => ({ x: Array.from({ length: 3 }, () => floats(some(images * sizeOf(dims), scale), [images, ...dims])) });

class Net extends GraphBuilder {
  weight(dims: readonly number[]): string { return this.floats(dims, some(sizeOf(dims), Math.sqrt(2 / sizeOf(dims.slice(1))))); }
  conv(x: string, ins: number, outs: number, attributes = { pads: [1, 1, 1, 1] }): string { return this.op('Conv', [x, this.weight([outs, ins, 3, 3]), this.floats([outs], some(outs, 0.1))], attributes); }
  gemm(x: string, ins: number, outs: number): string { return this.op('Gemm', [x, this.weight([outs, ins]), this.floats([outs], some(outs, 0.1))], { transB: 1 }); }
  matmul(x: string, ins: number, outs: number): string { return this.add(this.op('MatMul', [x, this.weight([ins, outs])]), this.floats([outs], some(outs, 0.1))); }
  relu(x: string): string { return this.op('Relu', [x]); }
  /** Two hidden layers and the mean over the tokens. */
  finish(x: string, layer: 'gemm' | 'matmul', back: (tokens: string) => string): ModelProto & { graph: GraphProto } {
    const tokens = back(this[layer](this.relu(this[layer](this.relu(this[layer](x, 12, 24)), 24, 20)), 20, 12));
    this.output(this.op('ReduceMean', [tokens], { axes: [1], keepdims: 0 }), 'y', ['n', 12]);
    return this.model();
  }
}

const build = new Map<string, () => ModelProto & { graph: GraphProto }>([
  ['tokens that are flattened into the batch', () => { const net = new Net(), x = net.input('x', ['n', 8, 12]); return net.finish(net.reshape(x, [-1, 12]), 'gemm', (tokens) => net.reshape(tokens, [-1, 8, 12])); }],
  ['windows that are folded into the batch', () => { const net = new Net(), x = net.input('x', ['n', 8, 12]); return net.finish(net.reshape(x, [-1, 4, 12]), 'matmul', (tokens) => net.reshape(tokens, [-1, 8, 12])); }],
  ['tokens that stand before the batch', () => { const net = new Net(), x = net.input('x', ['n', 8, 12]); return net.finish(net.transpose(x, [1, 0, 2]), 'matmul', (tokens) => net.transpose(tokens, [1, 0, 2])); }],
]);

describe('layers that see another dimension in the batch', () => {
  it.each([...build.keys()])('%s: rows times weights are the outputs', async (name) => {
    const model = build.get(name)!(), view = new GraphView(model.graph), feeds = feedsOf([8, 12]), { found } = await regressibleLayers(model, view, (await analyse(model)).layers, feeds);
    expect(found).toHaveLength(3);
    const wanted = found.flatMap(({ layer }) => [layer.input, layer.output]);
    for await (const values of runChunks(model, feeds, (chunk) => (chunk < 1 ? wanted : []))) for (const { layer, layout } of found) {
      expect(layout.positions).toBe(8);
      const sampled = samplePositions(layout.positions, images, 5, 3), [rows] = inputRows(layout, values[layer.input]!.data as Float32Array, images, sampled), outputs = outputRows(layout, values[layer.output]!.data as Float32Array, images, sampled);
      const bias = layer.opType === 'Gemm' ? view.constants.get(layer.bias) : undefined, made = await product(rows!, weightMatrices(layer, layout, view.constants.get(layer.weight)!, bias)[0]!, sampled.length, columnsOf(layout), layout.outs);
      expect(Math.max(...made.map((value, i) => Math.abs(value - outputs[i]!)))).toBeLessThan(1e-4);
    }
  });

  it.each([...build.keys()])('%s: channels are ranked by their readers and repaired, and training knows their mean', async (name) => {
    const model = build.get(name)!(), analysis = await analyse(model), feeds = feedsOf([8, 12]), ranked = await rankGroups(model, analysis, feeds, rankOptions);
    for (const { error, group } of ranked) expect(error[group.channels / 2]).not.toBe(0.25); // as a ranking by weights alone has it
    const kept = uniformKept(analysis, 0.7, { order: new Map(ranked.map(({ group, order }) => [group.id, [...order].reverse()])) }), pruned = applyPlan(model, analysis, kept);
    const repaired = await sequentialRefit(pruned, kept, await refitTargets(model, analysis, feeds, budget, 1), { rounds: 1, ridge: 1e-3, grouped: true });
    const answers = async (each: typeof model): Promise<Float32Array> => { for await (const { y } of runChunks(each, feeds, (chunk) => (chunk < 1 ? ['y'] : []))) return y!.data as Float32Array; throw new Error('no answers'); };
    const [own, cut, fitted] = await Promise.all([model, pruned, repaired].map(answers)) as [Float32Array, Float32Array, Float32Array], distance = (other: Float32Array): number => own.reduce((sum, value, i) => sum + (value - other[i]!) ** 2, 0);
    expect(distance(fitted)).toBeLessThan(0.5 * distance(cut));

    const [first] = await whitenLayers(model, feeds, { threads: 1, seed: 1 }), mean = new Float64Array(12);
    for (const { data } of feeds.x) (data as Float32Array).forEach((value, i) => { mean[i % 12]! += value / (data.length * feeds.x.length / 12); });
    if (first!.bias) first!.mean.forEach((value, c) => { expect(value).toBeCloseTo(mean[c]!, 4); });
  });

  it('frames as images: convolutions are left as they are, and the layer behind them is repaired', async () => {
    const net = new Net(), x = net.input('x', ['n', 4, 3, 8, 8]), h = net.relu(net.conv(net.relu(net.conv(net.reshape(x, [-1, 3, 8, 8]), 3, 8)), 8, 8));
    net.output(net.gemm(net.op('ReduceMean', [net.reshape(net.op('GlobalAveragePool', [h]), [-1, 4, 8])], { axes: [1], keepdims: 0 }), 8, 5), 'y', ['n', 5]);
    const model = net.model(), analysis = await analyse(model), feeds = feedsOf([4, 3, 8, 8]), { layers } = await refitTargets(model, analysis, feeds, budget, 1, { firstLayers: true });
    expect(layers.map(({ layer }) => layer.opType)).toEqual(['Gemm']);
    expect(await rankGroups(model, analysis, feeds, rankOptions)).toHaveLength(2);
    expect((await whitenLayers(model, feeds, { threads: 1, seed: 1 })).map(({ outs }) => outs)).toEqual([5]);
  });
});

describe('transposed convolutions', () => {
  /** 12 channels of 5 x 6, each made of the same three, are widened to 10 of another size, and those make the answer. @param kernel of the ConvTranspose */
  const upsampling = (kernel: number, attributes: Record<string, number | string | number[]>): ModelProto & { graph: GraphProto } => {
    const net = new Net(), x = net.input('x', ['n', 3, 5, 6]), wide = net.op('ConvTranspose', [net.relu(net.op('Conv', [x, net.weight([12, 3, 1, 1]), net.floats([12], some(12, 0.1))])), net.weight([12, 10, kernel, kernel]), net.floats([10], some(10, 0.1))], attributes);
    net.output(net.conv(net.relu(wide), 10, 4), 'y', ['n', 4, 'h', 'w']);
    return net.model();
  };
  const cases: [string, number, Record<string, number | string | number[]>][] = [
    ['windows side by side', 2, { strides: [2, 2] }], ['windows that overlap, with padding', 4, { strides: [2, 2], pads: [1, 1, 1, 1] }], ['unequal pads and an output padding', 3, { strides: [2, 2], pads: [1, 0, 1, 1], output_padding: [1, 0] }],
    ['gaps between windows', 2, { strides: [3, 3], output_padding: [1, 2] }], ['dilations', 3, { strides: [2, 1], dilations: [2, 2], pads: [1, 2, 1, 2] }], ['SAME_UPPER', 3, { strides: [2, 2], auto_pad: 'SAME_UPPER' }],
    ['SAME_LOWER', 3, { strides: [2, 2], auto_pad: 'SAME_LOWER' }], ['a size that is given', 4, { strides: [2, 2], output_shape: [9, 11] }],
  ];

  it.each(cases)('%s: rows times weights are the outputs, at all positions', async (_title, kernel, attributes) => {
    const model = upsampling(kernel, attributes), view = new GraphView(model.graph), feeds = feedsOf([3, 5, 6]), { found } = await regressibleLayers(model, view, (await analyse(model)).layers, feeds);
    const { layer, layout } = found.find(({ layer: { opType } }) => opType === 'ConvTranspose')!;
    for await (const values of runChunks(model, feeds, (chunk) => (chunk < 1 ? [layer.input, layer.output] : []))) {
      const sampled = samplePositions(layout.positions, images, layout.positions, 3), [rows] = inputRows(layout, values[layer.input]!.data as Float32Array, images, sampled), outputs = outputRows(layout, values[layer.output]!.data as Float32Array, images, sampled);
      const weight = view.constants.get(layer.weight)!, bias = view.constants.get(layer.bias)!, matrices = weightMatrices(layer, layout, weight, bias), made = await product(rows!, matrices[0]!, sampled.length, columnsOf(layout), layout.outs);
      expect(Math.max(...made.map((value, i) => Math.abs(value - outputs[i]!)))).toBeLessThan(1e-4);
      const back = tensorsFromMatrices(layer, layout, matrices, weight, layer.bias);
      expect([floatsOf(back.weight), floatsOf(back.bias)]).toEqual([floatsOf(weight), floatsOf(bias)]);
    }
  });

  it('are repaired, their readers and those of their channels too, and trained in whitened coordinates', async () => {
    const model = upsampling(4, { strides: [2, 2], pads: [1, 1, 1, 1] }), analysis = await analyse(model), feeds = feedsOf([3, 5, 6]), targets = await refitTargets(model, analysis, feeds, budget, 1);
    expect(targets.layers.map(({ layer }) => layer.opType)).toEqual(['ConvTranspose', 'Conv']);
    const ranked = await rankGroups(model, analysis, feeds, rankOptions), kept = uniformKept(analysis, 0.6, { order: new Map(ranked.map(({ group, order }) => [group.id, [...order].reverse()])) }), pruned = applyPlan(model, analysis, kept);
    const fitted: string[] = [], repaired = await sequentialRefit(pruned, kept, targets, { rounds: 1, ridge: 1e-3, grouped: true, fitted: ({ opType }) => fitted.push(opType) });
    const answers = async (each: typeof model): Promise<Float32Array> => { for await (const { y } of runChunks(each, feeds, (chunk) => (chunk < 1 ? ['y'] : []))) return y!.data as Float32Array; throw new Error('no answers'); };
    const [own, cut, better] = await Promise.all([model, pruned, repaired].map(answers)) as [Float32Array, Float32Array, Float32Array], distance = (other: Float32Array): number => own.reduce((sum, value, i) => sum + (value - other[i]!) ** 2, 0);
    expect(fitted).toEqual(['ConvTranspose', 'Conv']);
    expect(distance(better)).toBeLessThan(0.5 * distance(cut));
    expect((await whitenLayers(model, feeds, { threads: 1, seed: 1 })).map(({ inputs, taps }) => [inputs, taps])).toEqual([[3, 1], [192, 16], [90, 9]]);
  });
});

it('a MatMul without a bias is fitted without one, by both refits, channel by channel and weight by weight', async () => {
  const net = new Net(), x = net.input('x', ['n', 12]), bare = (value: string, ins: number, outs: number): string => net.op('MatMul', [value, net.weight([ins, outs])]);
  net.output(bare(net.relu(bare(net.relu(bare(bare(x, 12, 4), 4, 24)), 24, 20)), 20, 5), 'y', ['n', 5]);
  const model = net.model(), analysis = await analyse(model), feeds = feedsOf([12]), targets = await refitTargets(model, analysis, feeds, budget, 1), fit = { rounds: 1, ridge: 1e-3, grouped: true };
  const answers = async (each: typeof model): Promise<Float32Array> => { for await (const { y } of runChunks(each, feeds, (chunk) => (chunk < 1 ? ['y'] : []))) return y!.data as Float32Array; throw new Error('no answers'); };
  const own = await answers(model), distance = async (other: typeof model): Promise<number> => (await answers(other)).reduce((sum, value, i) => sum + (value - own[i]!) ** 2, 0);
  expect(targets.layers).toHaveLength(3);
  const kept = uniformKept(analysis, 0.75), pruned = applyPlan(model, analysis, kept), cut = await distance(pruned);
  for (const refitted of [await sequentialRefit(pruned, kept, targets, fit), await (await AnchoredRefit.prepare(model, { kept, densities: new Map() }, new Map(), targets, fit)).refit(pruned, { kept, densities: new Map() })]) {
    expect(await distance(refitted)).toBeLessThan(0.6 * cut);
    expect(refitted.graph.initializer.map(({ name }) => name)).toEqual(pruned.graph.initializer.map(({ name }) => name));
    expect(refitted.graph.node.map(({ opType }) => opType)).toEqual(pruned.graph.node.map(({ opType }) => opType));
  }
  expect((await rankWeights(model, analysis, feeds, rankOptions)).map(({ error }) => error.every(Number.isFinite))).toEqual([true, true, true, true]);
  const densities = new Map(targets.layers.map(({ layer }) => [layer.weight, 0.5])), thin = { kept: new Map<string, number[]>(), densities }, zeroed = zeroSmallest(model, densities);
  expect(await distance(await sequentialRefit(model, thin.kept, targets, { ...fit, densities }))).toBeLessThan(0.6 * await distance(zeroed));
});

it('an expert of a mixture, whose rows are the samples that are routed to it, keeps its weights; layers before and behind are repaired, channel by channel and weight by weight', async () => {
  const net = new Net(), x = net.input('x', ['n', 12]), hidden = net.relu(net.gemm(x, 12, 16)), rows = net.transpose(net.op('NonZero', [net.op('Greater', [net.op('ReduceMean', [x], { axes: [1], keepdims: 0 }), net.scalar(0)])]), [1, 0]);
  const expert = net.gemm(net.relu(net.gemm(net.op('GatherND', [hidden, rows]), 16, 24)), 24, 16);
  net.output(net.gemm(net.relu(net.gemm(net.op('ScatterND', [hidden, rows, expert]), 16, 20)), 20, 5), 'y', ['n', 5]);
  const model = net.model(), analysis = await analyse(model), feeds = feedsOf([12]), targets = await refitTargets(model, analysis, feeds, budget, 1, { firstLayers: true }), fit = { rounds: 1, ridge: 1e-3, grouped: true };
  expect(analysis.layers.map((layer) => targets.layers.some((refit) => refit.layer === layer))).toEqual([true, false, false, true, true]);
  expect((await rankWeights(model, analysis, feeds, rankOptions)).map(({ layer }) => layer)).toEqual(targets.layers.map(({ layer }) => layer));
  const ranked = await rankGroups(model, analysis, feeds, rankOptions), orders = new Map(ranked.map(({ group, order }) => [group.id, order]));
  const kept = uniformKept(analysis, 0.5, { roundTo: 1, order: new Map(ranked.map(({ group, order }) => [group.id, [...order].reverse()])) }), pruned = applyPlan(model, analysis, kept);
  const answers = async (each: typeof model): Promise<number[]> => { const found: number[] = []; for await (const { y } of runChunks(each, feeds, (chunk) => (chunk < 3 ? ['y'] : []))) found.push(...(y!.data as Float32Array)); return found; };
  const own = await answers(model), distance = async (other: typeof model): Promise<number> => (await answers(other)).reduce((sum, value, i) => sum + (value - own[i]!) ** 2, 0), cut = await distance(pruned);
  for (const refitted of [await sequentialRefit(pruned, kept, targets, fit), await (await AnchoredRefit.prepare(model, { kept, densities: new Map() }, orders, targets, fit)).refit(pruned, { kept, densities: new Map() })]) expect(await distance(refitted)).toBeLessThan(0.5 * cut);
  expect(lastFeatures(pruned, analysis, kept).map(({ elements }) => elements)).toEqual([10, 8]); // before and behind the expert
});

it('a layer with more columns than memory has room for is left as it is, and its channels are ranked by weights', async () => {
  const net = new Net(), x = net.input('x', ['n', 2, 32, 32]);
  net.output(net.gemm(net.op('Flatten', [net.relu(net.conv(x, 2, 12))]), 12 * 1024, 3), 'y', ['n', 3]);
  const model = net.model(), analysis = await analyse(model), feeds = feedsOf([2, 32, 32]), [ranked] = await rankGroups(model, analysis, feeds, rankOptions);
  expect(Array.from(ranked!.error)).toEqual(Array.from({ length: 13 }, (_, gone) => (gone / 12) ** 2));
  expect((await refitTargets(model, analysis, feeds, budget, 1)).layers).toEqual([]);
  expect((await rankWeights(model, analysis, feeds, rankOptions)).map(({ layer }) => layer.opType)).toEqual(['Conv']);
});

it('of a layer with zeros the weights that are not zero are ranked, and one of zeros alone has none', async () => {
  const net = new Net(), x = net.input('x', ['n', 12]);
  net.output(net.gemm(net.relu(net.gemm(net.relu(net.gemm(x, 12, 24)), 24, 20)), 20, 5), 'y', ['n', 5]);
  const model = net.model(), { layers: [, second, third] } = await analyse(model), thin = zeroSmallest(model, new Map([[second!.weight, 0.4], [third!.weight, 0]])), ranked = await rankWeights(thin, await analyse(thin), feedsOf([12]), rankOptions);
  expect(ranked.map(({ weights, density }) => [weights, density])).toEqual([[288, 1], [192, 0.4]]);
  for (const { error } of ranked) { expect(error[0]).toBe(0); expect(error[64]).toBeGreaterThan(1e-4); }
});

it('a network of which no weight can go alone is refused with the reasons', async () => {
  const net = new Net(), x = net.input('x', ['n', 12]), weight = net.weight([12, 12]), shared = (value: string): string => net.op('Gemm', [value, weight]);
  net.output(shared(net.relu(shared(x))), 'y', ['n', 12]);
  const model = net.model();
  await expect(rankWeights(model, await analyse(model), feedsOf([12]), rankOptions)).rejects.toThrow(UnsupportedModelError);
  await expect(rankWeights(model, await analyse(model), feedsOf([12]), rankOptions)).rejects.toThrow(/No layer of the network has weights that can be removed one by one \(those of .*Gemm.* are read by other nodes as well; .*\)\. Try --method channels\./);
});

it('activations that are infinite tell nothing: errors are then those of a ranking by weights', async () => {
  const net = new Net(), x = net.input('x', ['n', 3, 6, 6]), large = net.op('Exp', [net.mul(net.relu(net.conv(x, 3, 8)), 60)]);
  net.output(net.gemm(net.op('Flatten', [net.op('GlobalAveragePool', [net.op('Min', [net.relu(net.conv(large, 8, 8)), net.scalar(1)])])]), 8, 5), 'y', ['n', 5]);
  const model = net.model(), analysis = await analyse(model), feeds = feedsOf([3, 6, 6]);
  for (const { error } of [...await rankGroups(model, analysis, feeds, rankOptions), ...await rankWeights(model, analysis, feeds, rankOptions)]) {
    const curve = Array.from(error);
    expect(curve.every(Number.isFinite)).toBe(true);
    expect(curve).toEqual(curve.toSorted((a, b) => a - b));
    expect(curve.at(-1)).toBeGreaterThan(0);
  }
});

it('layers whose fit fails keep as few of their weights as those whose fit does not', async () => {
  const net = new Net(), x = net.input('x', ['n', 3, 6, 6]), large = net.op('Exp', [net.mul(net.relu(net.conv(x, 3, 8)), 60)]);
  net.output(net.op('Min', [net.conv(large, 8, 4), net.scalar(1)]), 'y', ['n', 4, 6, 6]);
  const model = net.model(), analysis = await analyse(model), densities = new Map(analysis.layers.map(({ weight }) => [weight, 0.25])), fit = { rounds: 1, ridge: 1e-3, grouped: true, densities }, kept = new Map<string, number[]>();
  const targets = await refitTargets(model, analysis, feedsOf([3, 6, 6]), budget, 1, { firstLayers: true });
  const whole = { kept, densities: new Map([...densities.keys()].map((weight) => [weight, 1])) };
  const refitted = [await sequentialRefit(model, kept, targets, fit), await (await AnchoredRefit.prepare(model, whole, new Map(), targets, fit)).refit(model, { kept, densities })];
  for (const { graph } of refitted) {
    for (const tensor of graph.initializer.filter(({ name }) => densities.has(name))) {
      const values = floatsOf(tensor);
      expect(values.every(Number.isFinite)).toBe(true);
      expect(values.filter((value) => value !== 0)).toHaveLength(values.length / 4);
    }
  }
});

it.each([['float16', DataType.FLOAT16], ['double', DataType.DOUBLE]] as const)('a %s network is repaired in float32 and written as it was', async (type, elementType) => {
  const path = join(folder, `${type}.onnx`), out = join(folder, 'out.onnx'), calibration = join(folder, 'x.npy'), net = new Net(), x = net.input('x', ['n', 12]);
  net.output(net.op('Cast', [net.gemm(net.relu(net.gemm(net.op('Cast', [x], { to: elementType }), 12, 8)), 8, 5)], { to: DataType.FLOAT }), 'y', ['n', 5]);
  net.initializers.forEach((tensor, i) => { net.initializers[i] = withFloats({ ...tensor, dataType: elementType }, tensor.dims.map(Number), floatsOf(tensor)); });
  await saveModel(net.model(), path);
  await writeTree(folder, { 'x.npy': npy('<f4', [200, 12], some(200 * 12)) });
  const agreement = async (): Promise<number> => (await evaluateFiles(out, calibration, { against: path })).value;
  await pruneCommand({ model: path, out, preserve: 0.5, roundTo: 1 });
  const plain = await agreement(), { repairedLayers } = await pruneCommand({ model: path, out, preserve: 0.5, roundTo: 1, calibration, repair: repairOn(calibration) });
  expect(repairedLayers).toBeGreaterThan(0);
  expect(await agreement()).toBeGreaterThan(plain);
  expect((await loadModel(out)).proto.graph.initializer.map(({ dataType }) => dataType)).toEqual(net.initializers.map(() => elementType));
});

it('a network with layers of a type that float32 does not stand for is refused with the layer and its type where it would be repaired; it is inspected and pruned as it is', async () => {
  const net = new Net(), x = net.input('x', ['n', 12]);
  net.output(net.gemm(net.relu(net.gemm(x, 12, 8)), 8, 5), 'y', ['n', 5]);
  const analysis = await analyse(net.model()), bfloat16 = (tensor: TensorProto): TensorProto => ({ ...tensor, dataType: DataType.BFLOAT16 });
  for (const [name, tensor] of analysis.structure.facts.view.constants) (analysis.structure.facts.view.constants as Map<string, TensorProto>).set(name, bfloat16(tensor));
  expect(() => { requireFloat32(analysis); }).toThrow(/The layer .*Gemm.* has weights of type bfloat16.*Compress the float32 model/);
});

it('one number that is the bias of all outputs becomes a bias of each, which can be fitted', async () => {
  const net = new Net(), x = net.input('x', ['n', 12]);
  net.output(net.op('Gemm', [net.relu(net.gemm(x, 12, 8)), net.weight([8, 5]), net.floats([1], Float32Array.of(0.5))]), 'y', ['n', 5]);
  const model = net.model(), { layers } = await analyse(model), { biases, model: changed } = withBiases(model, layers), [name] = biases.values();
  expect([...biases.keys()].map(({ name: layer }) => layer)).toEqual([layers[1]!.name]);
  expect([...floatsOf(changed.graph.initializer.find((tensor) => tensor.name === name)!)]).toEqual(Array(5).fill(0.5));
});

it('what is added to a MatMul is its bias in the shape [1, N] too, and is fitted; where it gives the sum a dimension more it is none', async () => {
  const build = (dims: readonly number[]): ModelProto & { graph: GraphProto } => {
    const net = new Net(), x = net.input('x', ['n', 12]), bias = (outs: number): string => net.floats([...dims, outs], some(outs, 0.1));
    net.output(net.add(net.op('MatMul', [net.relu(net.add(net.op('MatMul', [x, net.weight([12, 24])]), bias(24))), net.weight([24, 6])]), bias(6)), 'y', [...dims.slice(1), 'n', 6]);
    return net.model();
  };
  const model = build([1]), analysis = await analyse(model), feeds = feedsOf([12]), kept = uniformKept(analysis, 0.5, { roundTo: 1 }), pruned = applyPlan(model, analysis, kept);
  const refitted = await sequentialRefit(pruned, kept, await refitTargets(model, analysis, feeds, budget, 1), { rounds: 1, ridge: 1e-3, grouped: true });
  expect(analysis.layers.map(({ bias }) => bias)).not.toContain('');
  const answers = async (each: typeof model): Promise<Float32Array> => { for await (const { y } of runChunks(each, feeds, (chunk) => (chunk < 1 ? ['y'] : []))) return y!.data as Float32Array; throw new Error('no answers'); };
  const [own, cut, fitted] = await Promise.all([model, pruned, refitted].map(answers)) as [Float32Array, Float32Array, Float32Array], distance = (other: Float32Array): number => own.reduce((sum, value, i) => sum + (value - other[i]!) ** 2, 0);
  expect(distance(fitted)).toBeLessThan(0.5 * distance(cut));
  expect((await analyse(build([1, 1]))).layers[0]!.bias).toBe('');
});
