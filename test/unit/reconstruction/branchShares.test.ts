import { expect, it } from 'vitest';
import { GraphView } from '../../../src/engine/onnx/graphView.ts';
import { floatTensor } from '../../../src/engine/onnx/tensor.ts';
import { analyse } from '../../../src/engine/pruning/analysis.ts';
import { branchShares } from '../../../src/engine/reconstruction/branchShares.ts';
import { Random } from '../../../src/engine/numerics/random.ts';
import { floats } from '../../../src/engine/runtime/session.ts';
import { type Model, Network } from '../pruning/network.ts';

/** A branch that gives back what it reads, times a factor: y = x + factor * x. */
function echo(net: Network, x: string, channels: number, factor: number): string {
  const diagonal = (value: number): string => {
    const name = net.weight([channels, channels, 1, 1]), at = net.initializers.findIndex((tensor) => tensor.name === name);
    net.initializers[at] = floatTensor(name, [channels, channels, 1, 1], Float32Array.from({ length: channels ** 2 }, (_, i) => (i % (channels + 1) === 0 ? value : 0)));
    return name;
  };
  return net.op('Add', [x, net.op('Conv', [net.op('Conv', [x, diagonal(1), net.weight([channels])]), diagonal(factor), net.weight([channels])])]);
}

it('the share of a branch is its variance in that of the sum', async () => {
  const net = new Network(), x = net.conv(net.input('x', ['n', 3, 4, 4]), 3, 4), first = echo(net, x, 4, 0.5), second = echo(net, first, 4, 0.1);
  const gated = net.op('Mul', [second, net.op('Sigmoid', [net.conv(net.op('Relu', [net.conv(net.op('GlobalAveragePool', [second]), 4, 3)]), 3, 4)])]);
  const model: Model = net.output(net.conv(gated, 4, 2)).model(), analysis = await analyse(model), random = new Random(5);
  const shares = await branchShares(model, analysis, { [new GraphView(model.graph).inputs[0]!]: [floats(Float32Array.from({ length: 8 * 48 }, () => random.normal()), [8, 3, 4, 4])] });
  expect(analysis.groups.map(({ removable }) => removable)).toEqual([false, true, true, true]);
  const [, a, b, gate] = analysis.groups.map(({ id }) => shares.get(id));
  expect(a).toBeCloseTo((0.5 / 1.5) ** 2, 4);
  expect(b).toBeCloseTo((0.1 / 1.1) ** 2, 4);
  expect(gate).toBeUndefined();
});
