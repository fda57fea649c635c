import { expect, it } from 'vitest';
import { valuesASample } from '../../../src/engine/evaluation/forwardCost.ts';
import { analyse } from '../../../src/engine/pruning/analysis.ts';
import { costs, layerMacs } from '../../../src/engine/pruning/costs.ts';
import type { Analysis } from '../../../src/engine/pruning/types.ts';
import { uniformKept } from '../../../src/engine/pruning/uniform.ts';
import { Network } from './network.ts';

type Dim = number | string;
/** @param build makes the output from an input of these dims */
async function analysed(dims: readonly Dim[], build: (net: Network, x: string) => string): Promise<Analysis> {
  const net = new Network();
  net.output(build(net, net.input('x', [...dims])));
  return analyse(net.model());
}

it.each<[string, readonly Dim[], (net: Network, x: string, batch: Dim) => string]>([
  ['convolutions', [3, 8, 8], (net, x) => net.op('Flatten', [net.op('GlobalAveragePool', [net.conv(net.op('Relu', [net.conv(x, 3, 16, [3, 3])]), 16, 10)])])],
  ['attention of two heads', [6, 12], (net, x, batch) => {
    const heads = (perm: number[]): string => net.op('Transpose', [net.op('Reshape', [net.linear(x, 12, 16), net.ints([batch === 'n' ? -1 : 7, 6, 2, 8])])], { perm }), [q, k, v] = [heads([0, 2, 1, 3]), heads([0, 2, 3, 1]), heads([0, 2, 1, 3])];
    const mixed = net.op('MatMul', [net.op('Softmax', [net.op('MatMul', [q, k])]), v]);
    return net.linear(net.op('Reshape', [net.op('Transpose', [mixed], { perm: [0, 2, 1, 3] }), net.ints([batch === 'n' ? -1 : 7, 6, 16])]), 16, 5);
  }],
])('multiply-accumulates are those of one sample where a model fixes its batch: %s', async (_title, dims, build) => {
  const [free, fixed] = await Promise.all((['n', 7] as const).map((batch) => analysed([batch, ...dims], (net, x) => build(net, x, batch)))) as [Analysis, Analysis];
  expect(free.macs).toBeGreaterThan(0);
  expect(fixed.macs).toBe(free.macs);
  expect(valuesASample(fixed)).toBe(valuesASample(free));
  expect(fixed.layers.map(({ macs }) => macs)).toEqual(free.layers.map(({ macs }) => macs));
  const [own, other] = [free, fixed].map((analysis) => { const kept = uniformKept(analysis, 0.5); return { ...costs(analysis, kept), layers: layerMacs(analysis, kept) }; });
  expect(other).toEqual(own);
});

it('a first axis whose positions are no samples is counted whole', async () => {
  const attention = await analysed([8, 12], (net, x) => { const [q, k] = [net.linear(x, 12, 16), net.linear(x, 12, 16)]; return net.op('MatMul', [q, net.op('Transpose', [k], { perm: [1, 0] })]); });
  expect(attention.macs).toBe(2 * 8 * 12 * 16 + 8 * 8 * 16);
  const steps = await analysed([8, 1, 12], (net, x) => net.op('LSTM', [x, net.weight([1, 64, 12]), net.weight([1, 64, 16])], { hidden_size: 16 }));
  expect(steps.macs).toBe(8 * 64 * (12 + 16));
});
