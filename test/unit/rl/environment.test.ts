import { expect, it } from 'vitest';
import { loadModel } from '../../../src/engine/onnx/modelFile.ts';
import { analyse } from '../../../src/engine/pruning/analysis.ts';
import { ChannelSpace } from '../../../src/engine/rl/channelSpace.ts';
import { LayerWalk } from '../../../src/engine/rl/environment.ts';
import { layerFeatures } from '../../../src/engine/rl/features.ts';
import type { Limit } from '../../../src/engine/rl/searchSpace.ts';
import { Network } from '../pruning/network.ts';

const analysis = await analyse((await loadModel('examples/resnet20.onnx')).proto);
const groups = analysis.groups.map((group) => ({ group, order: Array.from({ length: group.channels }, (_, i) => i), error: new Float64Array(group.channels + 1) }));

it.each<[string, [Limit, ...Limit[]]]>([
  ['one limit', [{ cost: 'macs', budget: 0.5 }]],
  ['several limits, the first one far', [{ cost: 'macs', budget: 0.8 }, { cost: 'params', budget: 0.3 }]],
  ['several limits, the first one near', [{ cost: 'params', budget: 0.3 }, { cost: 'macs', budget: 0.8 }]],
])('observations lie in [0, 1] under %s, and what is left falls to nothing', (_, limits) => {
  const space = new ChannelSpace(analysis, groups, limits, { minPreserve: 0.1, roundTo: 1 }), walk = new LayerWalk(space, space.features, limits[0].budget), rest: number[] = [];
  while (!walk.done) {
    const observation = [...walk.observe()];
    for (const value of observation) { expect(value).toBeGreaterThanOrEqual(-1e-6); expect(value).toBeLessThanOrEqual(1 + 1e-6); }
    rest.push(observation[9]!);
    walk.step(0.5);
  }
  expect(rest).toEqual(rest.toSorted((a, b) => b - a));
  expect(rest.at(-1)).toBe(0);
});

it('groups of which half costs nothing are observed as such, not as no number', () => {
  const space = new ChannelSpace(analysis, groups, [{ cost: 'macs', budget: 0.5 }], { minPreserve: 0.1, roundTo: 1 });
  const free = Object.create(space, { spent: { value: () => 1 } }) as ChannelSpace;
  expect([...new LayerWalk(free, space.features, 1).observe()].every(Number.isFinite)).toBe(true);
});

it('positions of a layer are told by its operator: vectors have one, and tokens are a height', async () => {
  const net = new Network(), image = net.input('image', ['n', 3, 8, 6]), tokens = net.input('tokens', ['n', 10, 12]);
  net.output(net.op('Gemm', [net.op('Flatten', [net.op('GlobalAveragePool', [net.conv(image, 3, 16, [3, 3])])]), net.weight([16, 256])]), net.linear(tokens, 12, 64));
  const found = await analyse(net.model());
  expect(found.layers.map((layer) => { const { height, width, kernel } = layerFeatures(found, layer); return [layer.opType, height, width, kernel]; })).toEqual([['Conv', 8, 6, 3], ['Gemm', 1, 1, 1], ['MatMul', 10, 1, 1]]);
});
