import { create } from '@bufbuild/protobuf';
import { TypeProto_SequenceSchema, TypeProtoSchema, ValueInfoProtoSchema } from 'onnx-buf';
import { describe, expect, it } from 'vitest';
import { GraphView } from '../../../src/engine/onnx/graphView.ts';
import { findShapes, syntheticInput } from '../../../src/engine/runtime/shapes.ts';
import { Network } from '../pruning/network.ts';

describe('made-up inputs', () => {
  it('are refused by name and kind where no tensor is asked for', () => {
    const input = create(ValueInfoProtoSchema, { name: 'tokens', type: create(TypeProtoSchema, { value: { case: 'sequenceType', value: create(TypeProto_SequenceSchema) } }) });
    expect(() => syntheticInput(input, [])).toThrow('Graph input "tokens" is a sequence and not a tensor, which is not supported.');
  });
});

describe('the shape of an input that the model leaves open', () => {
  const shapeOf = async (dims: readonly (number | string)[], write: (net: Network, x: string) => string): Promise<readonly number[]> => {
    const net = new Network(5), x = net.input('x', ['batch', ...dims]), model = net.output(write(net, x)).model();
    return (await findShapes(model, new GraphView(model.graph))).inputShapes['x']!;
  };

  it('is one at which every layer gets as many values as it takes', async () => {
    const pooled = (net: Network, value: string): string => net.op('MaxPool', [net.op('Relu', [value])], { kernel_shape: [2, 2], strides: [2, 2] });
    expect(await shapeOf([3, 'height', 'width'], (net, x) => net.linear(net.op('Flatten', [pooled(net, pooled(net, net.conv(x, 3, 16, [3, 3])))]), 16 * 8 * 8, 10))).toEqual([1, 3, 32, 32]);
  });

  it.each<[string, (number | string)[], (net: Network, x: string) => string, number[]]>([
    ['features', ['features'], (net, x) => net.linear(x, 100, 16), [1, 100]],
    ['channels', ['channels', 'height', 'width'], (net, x) => net.conv(x, 1, 16, [3, 3]), [1, 1, 224, 224]],
    ['channels behind other operators', ['channels', 'height', 'width'], (net, x) => net.conv(net.op('Relu', [x]), 1, 16, [3, 3]), [1, 1, 224, 224]],
    ['height and width of channels that stand last', ['height', 'width', 3], (net, x) => net.conv(net.op('Transpose', [x], { perm: [0, 3, 1, 2] }), 3, 16, [7, 7]), [1, 224, 224, 3]],
  ])('is what the first layer takes: %s', async (_title, dims, write, shape) => { expect(await shapeOf(dims, write)).toEqual(shape); });
});

describe('a model that runs on no shape', () => {
  const failure = async (dims: readonly (number | string)[]): Promise<string> => {
    const net = new Network(), model = net.output(net.conv(net.op('Relu', [net.op('Concat', [net.input('x', dims), net.weight([1, 1, 8, 8])], { axis: 1 })]), 5, 2)).model();
    return findShapes(model, new GraphView(model.graph)).then(() => '', (error: unknown) => (error as Error).message);
  };
  it('and leaves no size open is said to contradict itself', async () => {
    expect(await failure(['n', 3, 8, 8])).toMatch(/^The model does not run on the input shapes that it declares, "x" \[1, 3, 8, 8\] \(.*export it again, and check that onnxruntime runs it\.$/);
  });
  it('and leaves sizes open should be exported with fixed ones', async () => {
    expect(await failure(['n', 3, 'height', 'width'])).toMatch(/^The model does not run on any of the usual input shapes .* Export it with inputs of fixed size/);
  });
});
