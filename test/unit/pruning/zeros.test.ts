/** What is summed without a weight loses channels only where they would be zero. */
import { create } from '@bufbuild/protobuf';
import { AttributeProtoSchema, AttributeProto_AttributeType as Type } from 'onnx-buf';
import { describe, expect, it } from 'vitest';
import { DataType } from '../../../src/engine/onnx/tensor.ts';
import { Network, expectExactPruning } from './network.ts';

const widths = async (net: Network, dims: Readonly<Record<string, readonly number[]>>, opset?: number): Promise<number[]> =>
  (await expectExactPruning(net.model(opset), dims, [1, 2, 3])).analysis.groups.map(({ channels }) => channels);

describe('zeros', () => {
  it.each([
    ['RNN', 1, ['Tanh'], true], ['RNN', 1, ['Sigmoid'], false], ['LSTM', 4, ['Sigmoid', 'Tanh', 'Tanh'], true], ['LSTM', 4, ['HardSigmoid', 'Relu', 'Softsign'], true],
    ['LSTM', 4, ['Sigmoid', 'Sigmoid', 'Tanh'], false], ['GRU', 3, ['Tanh', 'Tanh'], true], ['GRU', 3, ['Sigmoid', 'Softplus'], false],
  ] as const)('of an %s of %i gates with the activations %j stay zero: %s', async (opType, gates, activations, zero) => {
    const net = new Network(), x = net.input('x', [5, 'batch', 8]);
    const [y = ''] = net.ops(opType, [x, net.weight([1, 6 * gates, 8]), net.weight([1, 6 * gates, 6]), net.weight([1, 12 * gates])], 1, { hidden_size: 6 });
    net.nodes.at(-1)!.attribute.push(create(AttributeProtoSchema, { name: 'activations', type: Type.STRINGS, strings: activations.map((name) => new TextEncoder().encode(name)) }));
    const hidden = net.op('Transpose', [net.op('Squeeze', [y, net.ints([1])])], { perm: [1, 0, 2] });
    net.output(net.op('MatMul', [hidden, net.op('Transpose', [hidden], { perm: [0, 2, 1] })]));
    expect(await widths(net, { x: [5, 2, 8] })).toEqual(zero ? [6] : []);
  });

  it.each([[[2, 0, 0, 1, 1, 1], false], [[2, 1, 0.5, 1, 1, 1], true]] as const)('to the powers %j stay zero: %s', async (powers, zero) => {
    const net = new Network(), x = net.input('x', ['batch', 4]);
    net.output(net.op('ReduceSum', [net.op('Pow', [net.op('Abs', [net.linear(x, 4, 6)]), net.floats(powers)]), net.ints([1])]));
    expect(await widths(net, { x: [2, 4] })).toEqual(zero ? [6] : []);
  });

  it.each([[0, 1, true], [-1, 1, true], [0.5, 1, false]] as const)('within [%f, %f] stay zero: %s', async (low, high, zero) => {
    const net = new Network(), x = net.input('x', ['batch', 4]);
    net.output(net.op('ReduceSum', [net.op('Clip', [net.linear(x, 4, 6), net.scalar(low), net.scalar(high)]), net.ints([1])]));
    expect(await widths(net, { x: [2, 4] })).toEqual(zero ? [6] : []);
  });

  it.each([[0.5, true], [-0.5, false]] as const)('shrunk with the threshold %f stay zero: %s', async (lambd, zero) => {
    const net = new Network(), x = net.input('x', ['batch', 4]);
    net.output(net.op('ReduceSum', [net.op('Shrink', [net.linear(x, 4, 6)], { lambd: { float: lambd }, bias: { float: 1 } }), net.ints([1])]));
    expect(await widths(net, { x: [2, 4] })).toEqual(zero ? [6] : []);
  });

  it.each([[0, true], [1, false]] as const)('with %i around them are zero: %s', async (value, zero) => {
    const net = new Network(), x = net.input('x', ['batch', 3, 4, 4]), padded = net.op('Pad', [net.conv(x, 3, 6), net.ints([0, 0, 1, 1, 0, 0, 1, 1]), net.scalar(value)]);
    net.output(net.op('ReduceSum', [padded, net.ints([1])]));
    expect(await widths(net, { x: [2, 3, 4, 4] })).toEqual(zero ? [6] : []);
  });

  it.each([['indices of TopK', 1, false], ['values of TopK', 0, true]] as const)('have %s (output %i) that are zero: %s', async (_, output, zero) => {
    const net = new Network(), x = net.input('x', ['batch', 3, 4, 4]), top = net.ops('TopK', [net.conv(x, 3, 6), net.ints([2])], 2, { axis: 3 });
    net.output(net.op('ReduceSum', [net.op('Cast', [top[output]!], { to: DataType.FLOAT }), net.ints([1])]));
    expect(await widths(net, { x: [2, 3, 4, 4] })).toEqual(zero ? [6] : []);
  });

  it('are no zeros in the mask of a Dropout', async () => {
    const net = new Network(), x = net.input('x', ['batch', 4]), [, mask = ''] = net.ops('Dropout', [net.linear(x, 4, 6)], 2);
    net.output(net.op('ReduceSum', [net.op('Cast', [mask], { to: DataType.FLOAT }), net.ints([1])]));
    expect(await widths(net, { x: [2, 4] })).toEqual([]);
  });

  it('are not enough in the values of an attention that has values from before', async () => {
    const net = new Network(), x = net.input('x', [1, 5, 10]), past = [net.weight([1, 2, 3, 4]), net.weight([1, 2, 3, 4])];
    const [y = ''] = net.ops('Attention', [net.linear(x, 10, 8), net.linear(x, 10, 8), net.linear(x, 10, 8), '', ...past], 3, { q_num_heads: 2, kv_num_heads: 2 });
    net.output(net.op('ReduceSum', [y, net.ints([2])]));
    expect(await widths(net, { x: [1, 5, 10] }, 23)).toEqual([2, 4, 4]);
  });

  it('are needed on the side of a product that is summed over, not on one that is repeated', async () => {
    const net = new Network(), x = net.input('x', ['batch', 1]), z = net.input('z', ['batch', 4]);
    net.output(net.op('Einsum', [x, net.op('Transpose', [net.linear(z, 4, 6)], { perm: [1, 0] })], { equation: 'bi,ij->bj' }));
    expect(await widths(net, { x: [2, 1], z: [2, 4] })).toEqual([6]);
  });
});

describe('Einsum', () => {
  it('keeps what its ellipsis stands for where no output is written', async () => {
    const net = new Network(), x = net.input('x', [8, 8, 8]), product = net.op('Einsum', [net.op('Tanh', [x]), net.linear(x, 8, 8)], { equation: '...ij,...jk' });
    net.output(net.op('ReduceSum', [net.op('Relu', [net.linear(product, 8, 8)]), net.ints([1])]), net.op('ReduceSum', [product, net.ints([1])]));
    await expectExactPruning(net.model(), { x: [8, 8, 8] }, [1, 2, 3]);
  });

  it('prunes the channels of a product in its implicit form', async () => {
    const net = new Network(), x = net.input('x', ['batch', 5, 6]), weight = net.op('Unsqueeze', [net.weight([8, 7]), net.ints([0])]);
    net.output(net.linear(net.op('Relu', [net.op('Einsum', [net.op('Relu', [net.linear(x, 6, 8)]), weight], { equation: '...ij,...jk' })]), 7, 3));
    expect((await expectExactPruning(net.model(), { x: [2, 5, 6] })).analysis.groups.map(({ channels }) => channels)).toEqual([8, 7]);
  });
});
