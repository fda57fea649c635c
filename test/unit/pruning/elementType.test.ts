import { create } from '@bufbuild/protobuf';
import { AttributeProtoSchema, AttributeProto_AttributeType as Type, type GraphProto } from 'onnx-buf';
import { describe, expect, it } from 'vitest';
import { valueInfo } from '../../../src/engine/onnx/buildModel.ts';
import { DataType } from '../../../src/engine/onnx/tensor.ts';
import { Network, expectExactPruning } from './network.ts';

const graphAttribute = (name: string, g: GraphProto): ReturnType<typeof create<typeof AttributeProtoSchema>> => create(AttributeProtoSchema, { name, type: Type.GRAPH, g });
const widths = async (net: Network, dims: Readonly<Record<string, readonly number[]>>): Promise<number[]> => (await expectExactPruning(net.model(), dims)).analysis.groups.map(({ channels }) => channels);
const rootMeanSquare = (net: Network, x: string): string => net.op('SimplifiedLayerNormalization', [x, net.weight([10])], { axis: -1, epsilon: { float: 1e-5 } });

describe('element types', () => {
  it('behind an If are those of its branches, not of its condition', async () => {
    const net = new Network(), x = net.input('x', ['batch', 6]), go = net.input('go', [], DataType.BOOL), [chosen = ''] = net.ops('If', [go], 1);
    const branch = (opType: string): GraphProto => { const inner = new Network(); return inner.output(inner.op(opType, [x])).model().graph; };
    net.nodes.at(-1)!.attribute = [graphAttribute('then_branch', branch('Relu')), graphAttribute('else_branch', branch('Tanh'))];
    net.output(net.linear(rootMeanSquare(net, net.linear(chosen, 6, 10)), 10, 3));
    expect(await widths(net, { x: [2, 6], go: [] })).toEqual([10]);
  });

  it('behind a Loop are those of its state, not of its trip count', async () => {
    const net = new Network(), x = net.input('x', ['batch', 6]), body = new Network(), [state = ''] = net.ops('Loop', [net.ints([2], []), '', x], 1);
    body.input('step', [], DataType.INT64); body.input('go', [], DataType.BOOL); body.input('state', ['batch', 6]);
    body.outputs.push(valueInfo(body.op('Identity', ['go']), [], DataType.BOOL), valueInfo(body.op('Tanh', ['state']), ['batch', 6]));
    net.nodes.at(-1)!.attribute = [graphAttribute('body', body.model().graph)];
    const hidden = net.linear(state, 6, 10);
    net.output(net.linear(net.op('Mul', [hidden, net.op('ReduceMean', [net.op('Mul', [hidden, hidden])], { axes: [1] })]), 10, 3));
    expect(await widths(net, { x: [2, 6] })).toEqual([10]);
  });

  it.each(['ReduceMax', 'ReduceMin', 'ReduceMean'])('that are integers leave what %s works on whole', async (opType) => {
    const net = new Network(), x = net.input('x', ['batch', 4]);
    const whole = net.op('Cast', [net.op('Mul', [net.linear(x, 4, 8), net.scalar(10)])], { to: DataType.INT32 });
    net.output(net.op('Cast', [net.op(opType, [whole], { axes: [1] })], { to: DataType.FLOAT }));
    expect(await widths(net, { x: [2, 4] })).toEqual([]);
  });

  it('of indices are integers: the largest index of a row depends on all of them', async () => {
    const net = new Network(), x = net.input('x', ['batch', 3, 4, 4]), [, where = ''] = net.ops('TopK', [net.conv(x, 3, 6), net.ints([1])], 2, { axis: 3 });
    net.output(net.op('Cast', [net.op('ReduceMax', [where], { axes: [1] })], { to: DataType.FLOAT }));
    expect(await widths(net, { x: [2, 3, 4, 4] })).toEqual([]);
  });
});
