import { describe, expect, it } from 'vitest';
import { DataType } from '../../../src/engine/onnx/tensor.ts';
import { Network, expectExactPruning } from './network.ts';

const sizes = (groups: readonly { channels: number }[]): number[] => groups.map(({ channels }) => channels).sort((a, b) => a - b);
const image = ['batch', 3, 8, 8] as const, one = { x: [2, 3, 8, 8] };

describe('pruning of networks of other kinds', () => {
  it('prunes the embedding of two towers that is only compared', async () => {
    const net = new Network(), a = net.input('a', ['n', 6]), b = net.input('b', ['n', 4]);
    const unit = (x: string): string => net.op('LpNormalization', [x], { axis: -1, p: 2 });
    const left = unit(net.linear(net.op('Relu', [net.linear(a, 6, 8)]), 8, 10)), right = unit(net.linear(net.op('Relu', [net.linear(b, 4, 8)]), 8, 10));
    net.output(net.op('MatMul', [left, net.op('Transpose', [right], { perm: [1, 0] })]));
    const { analysis } = await expectExactPruning(net.model(), { a: [3, 6], b: [3, 4] });
    expect(sizes(analysis.groups)).toEqual([8, 8, 10]);
  });

  it('prunes heads and widths of attention whose projections are Einsums with kernels of three dimensions, as Keras exports it', async () => {
    const net = new Network(), x = net.input('x', ['batch', 4, 6]);
    const projected = (width: number): string => net.op('Add', [net.op('Einsum', [x, net.weight([6, 2, width])], { equation: 'abc,cde->abde' }), net.weight([2, width])]);
    const scores = net.op('Softmax', [net.op('Einsum', [projected(5), projected(5)], { equation: 'aecd,abcd->acbe' })], { axis: -1 });
    const mixed = net.op('Einsum', [scores, projected(3)], { equation: 'acbe,aecd->abcd' });
    net.output(net.linear(net.op('Relu', [net.linear(net.op('Add', [net.op('Einsum', [mixed, net.weight([2, 3, 6])], { equation: 'abcd,cde->abe' }), x]), 6, 16)]), 16, 4));
    const { analysis } = await expectExactPruning(net.model(), { x: [2, 4, 6] }, [1, 2, 3]);
    expect(sizes(analysis.groups)).toEqual([2, 3, 5, 16]);
    expect(analysis.frozen).toEqual([{ name: expect.stringMatching(/^MatMul/) as string, reason: 'output of the graph' }, { name: expect.stringMatching(/^Einsum/) as string, reason: 'input of the graph' }]);
  });

  it.each<[string, readonly number[], (net: Network, x: string) => string]>([
    ['that stand first in an Einsum', [6, 4, 4], (net, x) => net.op('Einsum', [net.weight([3, 8]), net.op('Relu', [net.op('Einsum', [net.weight([8, 6]), x], { equation: 'oc,nchw->nohw' })])], { equation: 'oc,nchw->nohw' })],
    ['of three dimensions in a MatMul', [2, 4, 6], (net, x) => net.op('MatMul', [net.op('Relu', [net.op('MatMul', [x, net.weight([2, 6, 8])])]), net.weight([2, 8, 3])])],
    ['that a MatMul has first', [6, 4], (net, x) => net.op('MatMul', [net.weight([1, 3, 8]), net.op('Relu', [net.op('MatMul', [net.weight([1, 8, 6]), x])])])],
  ])('prunes what is made by weights %s, and says why the last one stays whole', async (_, dims, write) => {
    const net = new Network(), model = net.output(write(net, net.input('x', ['batch', ...dims]))).model();
    const { analysis } = await expectExactPruning(model, { x: [2, ...dims] });
    expect(sizes(analysis.groups)).toEqual([8]);
    expect(analysis.frozen).toEqual([{ name: model.graph.node.at(-1)!.name, reason: 'output of the graph' }]);
  });

  it('prunes a WaveNet block: dilated convolutions, gates from one split convolution, summed skips', async () => {
    const net = new Network(), x = net.input('x', ['batch', 1, 16]);
    let y = net.conv(x, 1, 8, [1]);
    const skips: string[] = [];
    for (const dilation of [1, 2]) {
      const both = net.op('Conv', [y, net.weight([12, 8, 3]), net.weight([12])], { dilations: [dilation], pads: [dilation, dilation] });
      const [a = '', b = ''] = net.ops('Split', [both, net.ints([6, 6])], 2, { axis: 1 });
      const gated = net.op('Mul', [net.op('Tanh', [a]), net.op('Sigmoid', [b])]);
      skips.push(net.conv(gated, 6, 10, [1]));
      y = net.op('Add', [y, net.conv(gated, 6, 8, [1])]);
    }
    net.output(net.conv(net.op('Relu', [net.op('Add', [skips[0]!, skips[1]!])]), 10, 4, [1]));
    const { analysis } = await expectExactPruning(net.model(), { x: [2, 1, 16] });
    expect(sizes(analysis.groups)).toEqual([6, 6, 8, 10]);
  });

  it('prunes a detection head with upsampling, concatenation, and boxes decoded by slices', async () => {
    const net = new Network(), x = net.input('x', image);
    const p1 = net.op('LeakyRelu', [net.conv(x, 3, 8, [3, 3])]), p2 = net.op('LeakyRelu', [net.conv(net.op('MaxPool', [p1], { kernel_shape: [2, 2], strides: [2, 2] }), 8, 10, [3, 3])]);
    const up = net.op('Resize', [p2, '', net.op('Concat', [net.weight([2], { scale: 0, mean: 1 }), net.weight([2], { scale: 0, mean: 2 })], { axis: 0 })], { mode: 'nearest' });
    const head = net.conv(net.op('Relu', [net.conv(net.op('Concat', [up, p1], { axis: 1 }), 18, 12, [3, 3])]), 12, 6);
    const flat = net.op('Transpose', [net.op('Reshape', [head, net.ints([0, 6, -1])])], { perm: [0, 2, 1] });
    const slice = (from: number, to: number): string => net.op('Slice', [flat, net.ints([from]), net.ints([to]), net.ints([2])]);
    net.output(net.op('Concat', [net.op('Sigmoid', [slice(0, 2)]), net.op('Exp', [slice(2, 4)]), slice(4, 6)], { axis: 2 }));
    const { analysis } = await expectExactPruning(net.model(), one);
    expect(sizes(analysis.groups)).toEqual([8, 10, 12]);
  });

  it('prunes a decoder with learned queries and cross-attention', async () => {
    const net = new Network(), x = net.input('x', ['batch', 5, 8]), queries = net.op('Expand', [net.weight([1, 3, 8]), net.op('Concat', [net.op('Slice', [net.op('Shape', [x]), net.ints([0]), net.ints([1])]), net.ints([3, 8])], { axis: 0 })]);
    const heads = (y: string, length: number): string => net.op('Transpose', [net.op('Reshape', [y, net.ints([-1, length, 2, 4])])], { perm: [0, 2, 1, 3] });
    const memory = net.linear(x, 8, 6);
    const q = heads(net.linear(queries, 8, 8), 3), k = heads(net.linear(memory, 6, 8), 5), v = heads(net.linear(memory, 6, 8), 5);
    // batch and heads merged, as torch's MultiheadAttention exports
    const merge = (y: string, length: number): string => net.op('Reshape', [y, net.ints([-1, length, 4])]);
    const scores = net.op('Softmax', [net.op('MatMul', [merge(q, 3), net.op('Transpose', [merge(k, 5)], { perm: [0, 2, 1] })])], { axis: -1 });
    const mixed = net.op('Reshape', [net.op('MatMul', [scores, merge(v, 5)]), net.ints([-1, 2, 3, 4])]);
    const joined = net.op('Reshape', [net.op('Transpose', [mixed], { perm: [0, 2, 1, 3] }), net.ints([-1, 3, 8])]);
    net.output(net.linear(net.op('Relu', [net.linear(joined, 8, 12)]), 12, 4));
    const { analysis } = await expectExactPruning(net.model(), { x: [2, 5, 8] }, [1, 2, 3]);
    expect(sizes(analysis.groups)).toEqual([2, 4, 4, 6, 12]);
  });

  it('prunes a convolution whose weight is computed from the input', async () => {
    const net = new Network(), x = net.input('x', [1, 3, 8, 8]), y = net.op('Relu', [net.conv(x, 3, 8)]);
    const style = net.op('Reshape', [net.linear(net.op('Flatten', [net.op('GlobalAveragePool', [x])]), 3, 8), net.ints([1, 8, 1, 1])]);
    const modulated = net.op('Mul', [net.weight([6, 8, 3, 3]), style]);
    net.output(net.conv(net.op('Conv', [y, modulated], { pads: [1, 1, 1, 1] }), 6, 2));
    const { analysis } = await expectExactPruning(net.model(), { x: [1, 3, 8, 8] });
    expect(sizes(analysis.groups)).toContain(8);
  });

  it('prunes a grouped convolution behind a Concat whose parts do not end at its groups', async () => {
    const net = new Network(), x = net.input('x', image);
    const y = net.op('Concat', [net.conv(x, 3, 5), net.conv(x, 3, 7)], { axis: 1 });
    net.output(net.conv(net.op('Relu', [net.conv(y, 12, 8, [3, 3], { groups: 2 })]), 8, 2));
    const { analysis } = await expectExactPruning(net.model(), one, [1, 2, 3, 4]);
    expect(analysis.groups.length).toBeGreaterThan(0);
  });

  it('prunes a sentence encoder with an attention mask, token types and a pooler', async () => {
    const net = new Network(), ids = net.input('ids', ['batch', 'time'], DataType.INT64), mask = net.input('mask', ['batch', 'time'], DataType.INT64);
    const words = net.op('Gather', [net.weight([30, 8]), ids]), types = net.op('Gather', [net.weight([2, 8]), net.op('Mul', [ids, net.ints([0])])]);
    const x = net.layerNorm(net.op('Add', [words, types]), 8);
    const heads = (y: string): string => net.op('Transpose', [net.op('Reshape', [y, net.ints([0, 0, 2, 4])])], { perm: [0, 2, 1, 3] });
    const bias = net.op('Mul', [net.op('Sub', [net.weight([], { scale: 0, mean: 1 }), net.op('Cast', [net.op('Unsqueeze', [mask, net.ints([1, 2])])], { to: DataType.FLOAT })]), net.weight([], { scale: 0, mean: 1 })]);
    const q = net.op('Div', [heads(net.linear(x, 8, 8)), net.weight([], { scale: 0, mean: 2 })]), k = net.op('Transpose', [heads(net.linear(x, 8, 8))], { perm: [0, 1, 3, 2] });
    const scores = net.op('Softmax', [net.op('Where', [net.op('Greater', [bias, net.weight([], { scale: 0, mean: 0.5 })]), net.weight([], { scale: 0, mean: -1e4 }), net.op('MatMul', [q, k])])], { axis: -1 });
    const joined = net.op('Reshape', [net.op('Transpose', [net.op('MatMul', [scores, heads(net.linear(x, 8, 8))])], { perm: [0, 2, 1, 3] }), net.ints([0, 0, 8])]);
    const y = net.layerNorm(net.op('Add', [x, net.linear(joined, 8, 8)]), 8);
    const first = net.op('Gather', [y, net.ints([0], [])], { axis: 1 });
    net.output(net.linear(net.op('Tanh', [net.linear(first, 8, 10)]), 10, 3));
    const { analysis } = await expectExactPruning(net.model(), { ids: [2, 6], mask: [2, 6] }, [1, 2, 3]);
    expect(sizes(analysis.groups)).toEqual([2, 4, 4, 10]);
  });

  it('prunes a coordinate network with sine features, concatenated again half-way', async () => {
    const net = new Network(), x = net.input('x', ['points', 2]), freq = net.linear(x, 2, 6);
    const features = net.op('Concat', [net.op('Sin', [freq]), net.op('Cos', [freq]), x], { axis: 1 });
    const h = net.op('Relu', [net.linear(features, 14, 10)]);
    net.output(net.linear(net.op('Relu', [net.linear(net.op('Concat', [h, features], { axis: 1 }), 24, 9)]), 9, 3));
    const { analysis } = await expectExactPruning(net.model(), { x: [7, 2] });
    expect(sizes(analysis.groups)).toEqual([6, 9, 10]);
  });

  it('stays exact at other batch and image sizes than the analysis saw', async () => {
    const net = new Network(), x = net.input('x', ['batch', 3, 'height', 'width']), y = net.op('Relu', [net.conv(x, 3, 8, [3, 3])]);
    const shape = net.op('Shape', [y]), tokens = net.op('Transpose', [net.op('Reshape', [y, net.op('Concat', [net.op('Slice', [shape, net.ints([0]), net.ints([2])]), net.ints([-1])], { axis: 0 })])], { perm: [0, 2, 1] });
    const back = net.op('Reshape', [net.op('Transpose', [net.linear(net.op('Relu', [net.linear(tokens, 8, 12)]), 12, 8)], { perm: [0, 2, 1] }), shape]);
    net.output(net.conv(net.op('Add', [y, back]), 8, 2));
    for (const dims of [[1, 3, 8, 8], [3, 3, 12, 10]]) await expectExactPruning(net.model(), { x: dims }, [1]);
  });
});
