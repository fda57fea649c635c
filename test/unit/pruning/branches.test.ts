import { describe, expect, it } from 'vitest';
import { elementCount, isFloatTensor } from '../../../src/engine/onnx/tensor.ts';
import { analyse } from '../../../src/engine/pruning/analysis.ts';
import { costs } from '../../../src/engine/pruning/costs.ts';
import { applyPlan } from '../../../src/engine/pruning/surgery.ts';
import type { Analysis, KeptUnits } from '../../../src/engine/pruning/types.ts';
import { withBiases } from '../../../src/engine/reconstruction/refitTargets.ts';
import { type Model, Network, expectExactOn } from './network.ts';

const image = ['batch', 3, 8, 8] as const, dims = { x: [2, 3, 8, 8] };
const stem = (net: Network): string => net.op('Relu', [net.conv(net.input('x', image), 3, 8, [3, 3])]);
const head = (net: Network, x: string, channels = 8, opset = 17): Model => net.output(net.conv(x, channels, 4)).model(opset);
const block = (net: Network, x: string, inner = 6): string => net.op('Add', [x, net.conv(net.op('Relu', [net.conv(x, 8, inner, [3, 3])]), inner, 8, [3, 3])]);
const ops = (model: Model): string[] => model.graph.node.map(({ opType }) => opType);
/** Nothing of the removable groups, everything of the others. */
const without = ({ groups }: Analysis): KeptUnits => new Map(groups.filter(({ removable }) => removable).map(({ id }) => [id, []]));

/** Prunes what can go as a whole, checks it against the masked original, and that it costs what was foretold. */
async function removed(model: Model, feeds: Readonly<Record<string, readonly number[]>> = dims): Promise<{ pruned: Model; analysis: Analysis }> {
  const analysis = await expectExactOn(model, [{ dims: feeds }], without), kept = without(analysis), pruned = applyPlan(model, analysis, kept), again = await analyse(pruned);
  expect(kept.size).toBeGreaterThan(0);
  const params = pruned.graph.initializer.filter((tensor) => isFloatTensor(tensor) && tensor.dims.length > 0).reduce((sum, { dims: own }) => sum + elementCount(own), 0);
  expect(costs(analysis, kept)).toEqual({ macs: again.macs, params });
  return { pruned, analysis };
}

describe('branches that can go as a whole', () => {
  it('are those that are added to a shortcut; a constant stands where they ended', async () => {
    const net = new Network(), model = head(net, net.op('Relu', [block(net, net.op('Relu', [block(net, stem(net))]))]));
    const { pruned, analysis } = await removed(model);
    expect(analysis.groups.map(({ channels, removable }) => [channels, removable])).toEqual([[8, false], [6, true], [6, true]]);
    expect(ops(pruned)).toEqual(['Conv', 'Relu', 'Add', 'Relu', 'Add', 'Relu', 'Conv']);
    expect(pruned.graph.initializer).toHaveLength(6);
  });

  it('end in normalisations, activations and scales, and may have no bias', async () => {
    const net = new Network(), x = stem(net), bn = (y: string): string => net.op('BatchNormalization', [y, ...[1, 0, 0, 1].map((mean) => net.weight([8], { mean, scale: 0.2 }))]);
    const branch = bn(net.conv(net.op('Relu', [net.conv(x, 8, 6, [3, 3], { bias: false })]), 6, 8, [1, 1], { bias: false })), y = net.op('Add', [net.op('Mul', [net.op('Sigmoid', [branch]), net.weight([1, 8, 1, 1])]), x]);
    expect(ops((await removed(head(net, y))).pruned)).toContain('ConstantOfShape');
  });

  it.each([7, 8, 17])('may have no bias: zeros stand where they ended, which the repair can set (opset %i)', async (opset) => {
    const net = new Network(), x = stem(net), model = head(net, net.op('Add', [x, net.conv(net.op('Relu', [net.conv(x, 8, 6, [3, 3], { bias: false })]), 6, 8, [3, 3], { bias: false })]), 8, opset);
    const { pruned, analysis } = await removed(model), { biases, model: changed } = withBiases(pruned, analysis.layers), zeros = biases.get(analysis.layers[2]!);
    expect(changed.graph.initializer.find(({ name }) => name === zeros)?.dims).toEqual([1n, 8n, 1n, 1n]);
    expect(ops(changed)).toEqual(['Conv', 'Relu', 'Add', 'Conv']);
  });

  it('are feed-forward parts of transformers, with the normalisation that only they read', async () => {
    const net = new Network(), x = net.linear(net.input('x', [1, 5, 8]), 8, 8), y = net.op('Add', [x, net.linear(net.op('Relu', [net.linear(net.layerNorm(x, 8), 8, 12)]), 12, 8)]);
    const { pruned } = await removed(net.output(net.linear(net.layerNorm(y, 8), 8, 3)).model(), { x: [1, 5, 8] });
    expect(ops(pruned)).toEqual(['MatMul', 'Add', 'Add', 'LayerNormalization', 'MatMul', 'Add']);
  });

  it('end in what moves channels to another place, as in ConvNeXt', async () => {
    const net = new Network(), x = stem(net), last = net.op('Transpose', [net.conv(x, 8, 8, [3, 3], { groups: 8 })], { perm: [0, 2, 3, 1] });
    const scaled = net.op('Mul', [net.linear(net.op('Relu', [net.linear(net.layerNorm(last, 8), 8, 12)]), 12, 8), net.weight([8])]);
    const { pruned } = await removed(head(net, net.op('Add', [x, net.op('Transpose', [scaled], { perm: [0, 3, 1, 2] })])));
    expect(ops(pruned)).toEqual(['Conv', 'Relu', 'Mul', 'Transpose', 'Add', 'Conv']);
  });

  it('are gates that scale what passes by, and what they are computed from', async () => {
    const net = new Network(), x = stem(net), squeezed = net.op('Relu', [net.conv(net.op('GlobalAveragePool', [x]), 8, 4)]);
    const { pruned } = await removed(head(net, net.op('Mul', [x, net.op('Sigmoid', [net.conv(squeezed, 4, 8)])])));
    expect(ops(pruned)).not.toContain('GlobalAveragePool');
  });

  it('are what a Concat can do without', async () => {
    const net = new Network(), x = stem(net), { pruned, analysis } = await removed(head(net, net.op('Concat', [x, net.conv(x, 8, 6)], { axis: 1 }), 14));
    expect(analysis.groups.map(({ channels, removable }) => [channels, removable])).toEqual([[8, false], [6, true]]);
    expect(pruned.graph.node.find(({ opType }) => opType === 'Concat')!.input).toHaveLength(1);
  });

  it('are not those that a result depends on for its shape, that something else reads, or that are all there is', async () => {
    const chain = new Network(), added = new Network(), read = new Network(), x = stem(added);
    const models = [
      head(chain, chain.conv(stem(chain), 8, 8)),
      head(added, added.op('Add', [added.conv(added.conv(x, 8, 6), 6, 8), added.weight([1, 8, 1, 1])])),
      ((): Model => { const y = stem(read), inner = read.conv(y, 8, 6); return read.output(read.op('ReduceMean', [inner]), read.conv(read.op('Add', [y, read.conv(inner, 6, 8)]), 8, 4)).model(); })(),
    ];
    const table = new Network(), tokens = table.linear(table.input('x', ['n', 5, 8]), 8, 8), places = table.op('Slice', [table.weight([1, 9, 8]), table.ints([0]), table.ints([5]), table.ints([1])]); // one row for the whole batch
    models.push(table.output(table.linear(table.op('Add', [table.linear(table.linear(tokens, 8, 6), 6, 8), places]), 8, 3)).model());
    for (const model of models) expect((await analyse(model)).groups.filter(({ removable }) => removable)).toEqual([]);
    const analysis = await analyse(models[0]!);
    expect(() => applyPlan(models[0]!, analysis, new Map([[analysis.groups[0]!.id, []]]))).toThrow(/would be empty/);
  });

  it('that meet each other go one by one only where a shortcut stays', async () => {
    const net = new Network(), x = stem(net), a = net.conv(net.conv(x, 8, 5), 5, 8), b = net.conv(net.conv(x, 8, 6), 6, 8), model = head(net, net.op('Relu', [net.op('Add', [a, b])]));
    const { pruned, analysis } = await removed(model);
    expect(analysis.groups.filter(({ removable }) => removable)).toHaveLength(1);
    expect(ops(pruned).filter((op) => op === 'Conv')).toHaveLength(4);
  });
});
