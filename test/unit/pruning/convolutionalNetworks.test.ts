import { describe, expect, it } from 'vitest';
import { analyse } from '../../../src/engine/pruning/analysis.ts';
import { intAttribute } from '../../../src/engine/onnx/attributes.ts';
import { Network, dimsByName, expectExactPruning, producersOf } from './network.ts';

const bn = (net: Network, x: string, channels: number): string =>
  net.op('BatchNormalization', [x, net.weight([channels], { mean: 1 }), net.weight([channels]), net.weight([channels]), net.weight([channels], { mean: 1, scale: 0.4 })]);
const classifier = (net: Network, x: string, channels: number, classes = 5): void => {
  const pooled = net.op('Flatten', [net.op('GlobalAveragePool', [x])]);
  net.output(net.op('Gemm', [pooled, net.weight([classes, channels]), net.weight([classes])], { transB: 1 }));
};
const image = ['batch', 3, 8, 8] as const, one = { x: [2, 3, 8, 8] };

describe('pruning of convolutional networks', () => {
  it('ties channels joined by residual additions and leaves the logits whole', async () => {
    const net = new Network(), x = net.input('x', image);
    const stem = net.op('Relu', [bn(net, net.conv(x, 3, 8, [3, 3], { bias: false }), 8)]);
    const inner = net.op('Relu', [bn(net, net.conv(stem, 8, 12, [3, 3]), 12)]);
    classifier(net, net.op('Relu', [net.op('Add', [bn(net, net.conv(inner, 12, 8, [3, 3]), 8), stem])]), 8);
    const { analysis } = await expectExactPruning(net.model(), one);
    expect(analysis.groups.map(({ channels }) => channels).sort((a, b) => a - b)).toEqual([8, 12]);
    expect(analysis.frozen).toEqual([{ name: expect.stringContaining('Gemm') as string, reason: 'output of the graph' }]);
  });

  it('prunes depthwise convolutions with their input and rewrites the group count', async () => {
    const net = new Network(), x = net.input('x', image);
    const narrow = net.conv(x, 3, 6), wide = net.conv(narrow, 6, 12, [3, 3], { groups: 6 }); // channel multiplier 2
    classifier(net, net.conv(net.op('Clip', [wide, net.weight([], { scale: 0 }), net.weight([], { mean: 6, scale: 0 })]), 12, 12, [3, 3], { groups: 12 }), 12);
    const { pruned } = await expectExactPruning(net.model(), one);
    const groups = pruned.graph.node.filter(({ opType }) => opType === 'Conv').map((node) => intAttribute(node, 'group', 1));
    expect(groups[1]).toBeLessThan(6);
  });

  it.each([2, 4])('prunes a convolution of %i groups by whole groups and inside each group', async (groups) => {
    const net = new Network(), x = net.input('x', image);
    const y = net.op('Relu', [net.conv(net.op('Relu', [net.conv(x, 3, 16)]), 16, 24, [3, 3], { groups })]);
    classifier(net, net.conv(y, 24, 10), 10);
    const { analysis } = await expectExactPruning(net.model(), one, [1, 2, 3]);
    expect(analysis.groups.map(({ channels }) => channels).sort((a, b) => a - b)).toEqual([groups, 16 / groups, 24 / groups, 10].sort((a, b) => a - b));
  });

  it('keeps each source of a Concat in a group of its own', async () => {
    const net = new Network(), x = net.input('x', image);
    const a = net.conv(x, 3, 6), b = net.conv(x, 3, 10);
    classifier(net, net.conv(bn(net, net.op('Concat', [a, b], { axis: 1 }), 16), 16, 8), 8);
    const { analysis } = await expectExactPruning(net.model(), one);
    expect(analysis.groups.map(({ channels }) => channels).sort((a, b) => a - b)).toEqual([6, 8, 10]);
  });

  it('prunes a U-Net with ConvTranspose, skip Concat and a Resize whose sizes are computed', async () => {
    const net = new Network(), x = net.input('x', image);
    const top = net.op('Relu', [net.conv(x, 3, 8, [3, 3])]);
    const down = net.op('Relu', [net.conv(net.op('MaxPool', [top], { kernel_shape: [2, 2], strides: [2, 2] }), 8, 12, [3, 3])]);
    const up = net.op('ConvTranspose', [down, net.weight([12, 6, 2, 2]), net.weight([6])], { strides: [2, 2] });
    const sizes = net.op('Concat', [net.op('Slice', [net.op('Shape', [down]), net.ints([0]), net.ints([2])]), net.ints([8, 8])], { axis: 0 });
    const resized = net.op('Resize', [down, '', '', sizes], { mode: 'nearest' });
    net.output(net.conv(net.op('Relu', [net.conv(net.op('Concat', [up, top, resized], { axis: 1 }), 26, 10, [3, 3])]), 10, 2));
    const { analysis } = await expectExactPruning(net.model(), one);
    expect(analysis.frozen.length).toBe(1);
  });

  it('prunes grouped ConvTranspose', async () => {
    const net = new Network(), x = net.input('x', image);
    const y = net.op('ConvTranspose', [net.conv(x, 3, 12), net.weight([12, 4, 2, 2]), net.weight([12])], { strides: [2, 2], group: 3 });
    classifier(net, net.conv(net.op('Relu', [y]), 12, 6), 6);
    const { analysis } = await expectExactPruning(net.model(), one, [1, 2, 3]);
    expect(analysis.groups.length).toBe(4);
  });

  it('prunes through channel split, concat and shuffle of ShuffleNet, and replaces the shuffle by Gather', async () => {
    const net = new Network(), x = net.input('x', image);
    let y = net.conv(x, 3, 16);
    for (let block = 0; block < 2; block++) {
      const [left = '', right = ''] = net.ops('Split', [y, net.ints([8, 8])], 2, { axis: 1 });
      const branch = net.op('Relu', [net.conv(net.conv(net.op('Relu', [net.conv(right, 8, 8)]), 8, 8, [3, 3], { groups: 8 }), 8, 8)]);
      const joined = net.op('Concat', [left, branch], { axis: 1 });
      const split = net.op('Reshape', [joined, net.ints([-1, 2, 8, 8, 8])]);
      y = net.op('Reshape', [net.op('Transpose', [split], { perm: [0, 2, 1, 3, 4] }), net.ints([-1, 16, 8, 8])]);
    }
    classifier(net, net.conv(y, 16, 12), 12);
    const { pruned } = await expectExactPruning(net.model(), one, [1, 2, 3]);
    expect(pruned.graph.node.filter(({ opType }) => opType === 'Gather').length).toBe(2);
    expect(pruned.graph.node.some(({ opType }) => opType === 'Reshape' || opType === 'Transpose')).toBe(false);
  });

  it('prunes squeeze-and-excitation gates whose flattening computes shapes in the graph', async () => {
    const net = new Network(), x = net.input('x', image);
    const y = net.op('Relu', [net.conv(x, 3, 12)]), shape = net.op('Shape', [y]);
    const pick = (i: number): string => net.op('Unsqueeze', [net.op('Gather', [shape, net.ints([i], [])], { axis: 0 }), net.ints([0])]);
    const flat = net.op('Reshape', [net.op('GlobalAveragePool', [y]), net.op('Concat', [pick(0), pick(1)], { axis: 0 })]);
    const gate = net.op('Sigmoid', [net.linear(net.op('Relu', [net.linear(flat, 12, 6)]), 6, 12)]);
    const back = net.op('Reshape', [gate, net.op('Concat', [pick(0), pick(1), net.ints([1, 1])], { axis: 0 })]);
    classifier(net, net.op('Mul', [y, back]), 12);
    const { analysis } = await expectExactPruning(net.model(), one);
    expect(analysis.groups.map(({ channels }) => channels).sort((a, b) => a - b)).toEqual([6, 12]);
  });

  it('prunes 1-D and 3-D convolutions', async () => {
    for (const spatial of [[16], [4, 6, 6]]) {
      const net = new Network(), x = net.input('x', ['batch', 2, ...spatial]), kernel = spatial.map(() => 3);
      classifier(net, net.op('Relu', [net.conv(net.op('LeakyRelu', [net.conv(x, 2, 8, kernel)]), 8, 6, kernel)]), 6);
      const { analysis } = await expectExactPruning(net.model(), { x: [2, 2, ...spatial] });
      expect(analysis.groups.length).toBe(2);
    }
  });

  it('prunes DepthToSpace channels in blocks, in both modes', async () => {
    for (const mode of ['DCR', 'CRD']) {
      const net = new Network(), x = net.input('x', image);
      net.output(net.conv(net.op('DepthToSpace', [net.conv(x, 3, 24), ], { blocksize: 2, mode }), 6, 3, [3, 3]));
      const { analysis } = await expectExactPruning(net.model(), one);
      expect(analysis.groups[0]!.channels).toBe(6);
      expect(analysis.groups[0]!.producers[0]!.unitOf.filter((unit) => unit === 2).length).toBe(4);
    }
  });

  it('prunes whole groups of a GroupNormalization and freezes its channels', async () => {
    const net = new Network(), x = net.input('x', image);
    const y = net.op('GroupNormalization', [net.conv(x, 3, 12), net.weight([12]), net.weight([12])], { num_groups: 4 });
    classifier(net, net.op('Relu', [y]), 12);
    const { analysis } = await expectExactPruning(net.model(21), one);
    expect(analysis.groups.map(({ channels }) => channels)).toEqual([4]);
  });

  it('prunes whole groups of a group normalisation that is written as InstanceNormalization', async () => {
    const net = new Network(), x = net.input('x', image), y = net.conv(x, 3, 12);
    const grouped = net.op('InstanceNormalization', [net.op('Reshape', [y, net.ints([0, 4, -1])]), net.weight([4]), net.weight([4])]);
    const back = net.op('Reshape', [grouped, net.op('Shape', [y])]);
    classifier(net, net.op('Add', [net.op('Mul', [back, net.weight([12, 1, 1])]), net.weight([12, 1, 1])]), 12);
    const { analysis } = await expectExactPruning(net.model(), one);
    expect(analysis.groups.map(({ channels }) => channels)).toEqual([4]);
  });

  it('follows PRelu slopes, per-channel constants, slices with a step and tiles', async () => {
    const net = new Network(), x = net.input('x', image);
    const y = net.op('PRelu', [net.op('Add', [net.conv(x, 3, 12), net.weight([1, 12, 1, 1])]), net.weight([12, 1, 1])]);
    const even = net.op('Slice', [y, net.ints([0]), net.ints([12]), net.ints([1]), net.ints([2])]);
    const part = net.op('Slice', [y, net.ints([-5]), net.ints([2 ** 31]), net.ints([1])]);
    const tiled = net.op('Tile', [net.conv(part, 5, 4), net.ints([1, 2, 1, 1])]);
    classifier(net, net.op('Concat', [even, tiled, net.op('Gather', [y, net.ints([3, 1, 7])], { axis: 1 })], { axis: 1 }), 17);
    const { analysis } = await expectExactPruning(net.model(), one, [1, 2, 3, 4]);
    expect(analysis.groups.length).toBeGreaterThan(1);
  });

  it('unites the channels of convolutions that share one weight', async () => {
    const net = new Network(), x = net.input('x', image), shared = net.weight([8, 6, 3, 3]);
    const head = (y: string): string => net.op('Conv', [y, shared], { pads: [1, 1, 1, 1] });
    net.output(net.conv(head(net.conv(x, 3, 6)), 8, 2), net.conv(head(net.conv(x, 3, 6)), 8, 3));
    const { analysis } = await expectExactPruning(net.model(), one);
    expect(analysis.groups.map(({ channels }) => channels)).toEqual([6, 8]);
  });

  it('does not tie layers that merely store equal biases once', async () => {
    const net = new Network(), x = net.input('x', image), bias = net.weight([8], { scale: 0 });
    const y = net.op('Relu', [net.op('Conv', [x, net.weight([8, 3, 1, 1]), bias])]);
    const z = net.op('Conv', [y, net.weight([8, 8, 1, 1]), net.op('Identity', [bias])]);
    classifier(net, net.op('Conv', [z, net.weight([8, 8, 1, 1]), bias]), 8);
    const { analysis } = await expectExactPruning(net.model(), one);
    expect(analysis.groups.map(({ channels }) => channels)).toEqual([8, 8, 8]);
  });

  it('freezes what an unknown operator or a subgraph touches, says so, and prunes the rest', async () => {
    const net = new Network(), x = net.input('x', image);
    const sorted = net.op('Unique', [net.op('GlobalAveragePool', [net.conv(x, 3, 6)])]);
    net.output(sorted);
    classifier(net, net.op('Relu', [net.conv(x, 3, 9)]), 9);
    const { analysis } = await expectExactPruning(net.model(), one);
    expect(analysis.groups.map(({ channels }) => channels)).toEqual([9]);
    expect(analysis.frozen.map(({ reason }) => reason)).toContain('Unique depends on the data or on positions');
  });

  it('never lets a part of a split axis become empty', async () => {
    const net = new Network(), x = net.input('x', image);
    const [a = '', b = ''] = net.ops('Split', [net.conv(x, 3, 8), net.ints([2, 6])], 2, { axis: 1 });
    net.output(net.conv(a, 2, 3), net.conv(b, 6, 3));
    const model = net.model(), analysis = await analyse(model);
    expect(analysis.groups[0]!.channels).toBe(6); // one channel of each part always stays
    await expectExactPruning(model, one, [1, 2, 3, 4, 5, 6]);
  });

  it('prunes weights that the graph standardises, by computing them once', async () => {
    const net = new Network(), x = net.input('x', image);
    const standardised = (y: string, from: number, to: number): string => {
      const w = net.weight([to, from, 3, 3]), centred = net.op('Sub', [w, net.op('ReduceMean', [w], { axes: [1, 2, 3], keepdims: 1 })]);
      const variance = net.op('ReduceMean', [net.op('Mul', [centred, centred])], { axes: [1, 2, 3], keepdims: 1 });
      return net.op('Conv', [y, net.op('Div', [centred, net.op('Sqrt', [net.op('Add', [variance, net.weight([], { scale: 0, mean: 1e-5 })])])])], { pads: [1, 1, 1, 1] });
    };
    classifier(net, net.op('Relu', [standardised(net.op('Relu', [standardised(x, 3, 8)]), 8, 12)]), 12);
    const { analysis, pruned } = await expectExactPruning(net.model(), one);
    expect(analysis.groups.map(({ channels }) => channels)).toEqual([8, 12]);
    expect(pruned.graph.node.some(({ opType }) => opType === 'ReduceMean')).toBe(false);
  });

  it('prunes shortcuts that pad the channels with zeros', async () => {
    const net = new Network(), x = net.input('x', image), y = net.op('Relu', [net.conv(x, 3, 8)]);
    const shortcut = net.op('Pad', [net.op('Slice', [y, net.ints([0, 0]), net.ints([9, 9]), net.ints([2, 3]), net.ints([2, 2])]), net.ints([0, 4, 0, 0, 0, 4, 0, 0])]);
    const branch = net.op('MaxPool', [net.conv(net.op('Relu', [net.conv(y, 8, 6, [3, 3])]), 6, 16)], { kernel_shape: [2, 2], strides: [2, 2] });
    classifier(net, net.op('Relu', [net.op('Add', [shortcut, branch])]), 16);
    const { analysis } = await expectExactPruning(net.model(), one, [1, 2, 3]);
    expect(analysis.groups.map(({ channels }) => channels).sort((a, b) => a - b)).toEqual([6, 8, 8]);
  });

  it('halves every width of a plain chain, weights included', async () => {
    const net = new Network(), x = net.input('x', image);
    const w = net.weight([8, 3, 3, 3], { name: 'first' });
    classifier(net, net.op('Conv', [x, w], { pads: [1, 1, 1, 1] }), 8);
    const { analysis, pruned } = await expectExactPruning(net.model(), one, [4]);
    expect(producersOf(analysis)).toEqual(['first']);
    expect(dimsByName(pruned).get('first')![0]).toBeLessThan(8);
  });
});
