/** Networks over points, graphs and tables; and graphs as converters other than torch.onnx write them. */
import { create } from '@bufbuild/protobuf';
import { AttributeProtoSchema, AttributeProto_AttributeType, type NodeProto } from 'onnx-buf';
import { makeNode } from '../../../../src/engine/onnx/attributes.ts';
import { DataType } from '../../../../src/engine/onnx/tensor.ts';
import { valueInfo } from '../../../../src/engine/onnx/buildModel.ts';
import { Network } from '../network.ts';
import type { Kind } from './kind.ts';

const relu = (net: Network, x: string): string => net.op('Relu', [x]);
const batchNorm = (net: Network, x: string, channels: number): string =>
  net.op('BatchNormalization', [x, net.weight([channels], { mean: 1 }), net.weight([channels]), net.weight([channels]), net.weight([channels], { mean: 1, scale: 0.4 })]);
const toNchw = (net: Network, x: string): string => net.op('Transpose', [x], { perm: [0, 3, 1, 2] });
const toNhwc = (net: Network, x: string): string => net.op('Transpose', [x], { perm: [0, 2, 3, 1] });
const graphAttribute = (name: string, net: Network): ReturnType<typeof create<typeof AttributeProtoSchema>> =>
  create(AttributeProtoSchema, { name, type: AttributeProto_AttributeType.GRAPH, g: net.model().graph });
const inner = (node: NodeProto, output: string): Network => { const net = new Network(9); net.nodes.push(node); return net.output(output); };

export const kinds: Readonly<Record<string, Kind>> = {
  'PointNet: shared layers, input transform, global maximum tiled to the points': { macs: 0.45, build: (net) => {
    const x = net.input('x', ['batch', 3, 12]), layer = (y: string, from: number, to: number): string => relu(net, batchNorm(net, net.conv(y, from, to, [1]), to));
    const pooled = net.op('ReduceMax', [layer(layer(x, 3, 8), 8, 16)], { axes: [2], keepdims: 0 });
    const turn = net.op('Reshape', [net.op('Add', [net.op('Gemm', [relu(net, net.op('Gemm', [pooled, net.weight([16, 12])])), net.weight([12, 9])]), net.weight([9])]), net.ints([-1, 3, 3])]);
    const turned = net.op('Transpose', [net.op('MatMul', [net.op('Transpose', [x], { perm: [0, 2, 1] }), turn])], { perm: [0, 2, 1] });
    const local = layer(turned, 3, 10), global = net.op('ReduceMax', [layer(local, 10, 20)], { axes: [2], keepdims: 1 });
    net.output(net.conv(layer(net.op('Concat', [local, net.op('Tile', [global, net.ints([1, 1, 12])])], { axis: 1 }), 30, 14), 14, 4, [1]));
    return { x: [2, 3, 12] };
  } },
  'PointNet++-like: groups of points gathered by GatherND, pooled': { macs: 0.45, build: (net) => {
    const x = net.input('x', [1, 12, 3]), which = net.input('which', [1, 4, 5, 1], DataType.INT64), features = relu(net, net.linear(x, 3, 12));
    const grouped = net.op('GatherND', [features, which], { batch_dims: 1 });
    net.output(net.linear(net.op('ReduceMax', [relu(net, net.linear(grouped, 12, 16))], { axes: [2], keepdims: 0 }), 16, 4));
    return { x: [1, 12, 3], which: [1, 4, 5, 1] };
  } },
  'graph network: messages gathered over edges and summed by ScatterElements': { macs: 0.45, build: (net) => {
    const x = net.input('x', ['nodes', 6]), from = net.input('from', ['edges'], DataType.INT64), to = net.input('to', ['edges'], DataType.INT64);
    const h = relu(net, net.linear(x, 6, 12)), message = relu(net, net.linear(net.op('Concat', [net.op('Gather', [h, from], { axis: 0 }), net.op('Gather', [h, to], { axis: 0 })], { axis: 1 }), 24, 12));
    const index = net.op('Expand', [net.op('Unsqueeze', [to, net.ints([1])]), net.op('Shape', [message])]), zeros = net.op('ConstantOfShape', [net.op('Shape', [h])]);
    const summed = net.op('ScatterElements', [zeros, index, message], { axis: 0, reduction: 'add' });
    net.output(net.linear(relu(net, net.linear(net.op('Add', [h, summed]), 12, 16)), 16, 4));
    return { x: [5, 6], from: [7], to: [7] };
  } },
  'graph convolution with a dense adjacency matrix and attention coefficients': { macs: 0.52, build: (net) => {
    const x = net.input('x', ['nodes', 6]), adjacency = net.input('adjacency', ['nodes', 'nodes']), h = net.op('MatMul', [x, net.weight([6, 12])]);
    const scores = net.op('LeakyRelu', [net.op('Add', [net.op('MatMul', [h, net.weight([12, 1])]), net.op('Transpose', [net.op('MatMul', [h, net.weight([12, 1])])], { perm: [1, 0] })])]);
    const attention = net.op('Softmax', [net.op('Where', [net.op('Greater', [adjacency, net.scalar(0)]), scores, net.scalar(-9e15)])], { axis: 1 });
    net.output(net.op('MatMul', [adjacency, net.linear(net.op('Elu', [net.op('MatMul', [attention, h])]), 12, 4)]));
    return { x: [5, 6], adjacency: [5, 5] };
  }, frozen: ['it has a single output channel'] },
  'scatter by ScatterND with reduction (DGL, tf.scatter)': { macs: 0.45, build: (net) => {
    const x = net.input('x', [5, 6]), to = net.input('to', [5, 1], DataType.INT64), h = relu(net, net.linear(x, 6, 12));
    net.output(net.linear(relu(net, net.linear(net.op('ScatterND', [net.op('ConstantOfShape', [net.op('Shape', [h])]), to, h], { reduction: 'add' }), 12, 10)), 10, 4));
    return { x: [5, 6], to: [5, 1] };
  } },
  'tabular: embeddings and numbers joined, normalised, deep and wide': { macs: 0.45, build: (net) => {
    const numbers = net.input('numbers', ['batch', 5]), columns = [4, 6].map((count, i) => net.op('Gather', [net.weight([count, 3 + i]), net.input(`column${i}`, ['batch'], DataType.INT64)], { axis: 0 }));
    const joined = net.op('Concat', [...columns, batchNorm(net, numbers, 5)], { axis: 1 }), deep = relu(net, net.op('Gemm', [batchNorm(net, relu(net, net.op('Gemm', [joined, net.weight([16, 12]), net.weight([16])], { transB: 1 })), 16), net.weight([16, 10]), net.weight([10])]));
    net.output(net.op('Add', [net.linear(deep, 10, 1), net.linear(joined, 12, 1)]));
    return { numbers: [3, 5], column0: [3], column1: [3] };
  }, frozen: ['it has a single output channel'] },
  'DeepFM: pairwise products of embeddings': { frozen: ['it has a single output channel'], macs: 0.6, build: (net) => {
    const ids = net.input('ids', ['batch', 4], DataType.INT64), e = net.op('Gather', [net.weight([30, 8]), ids]);
    const square = net.op('Pow', [net.op('ReduceSum', [e, net.ints([1])], { keepdims: 0 }), net.scalar(2)]), squares = net.op('ReduceSum', [net.op('Pow', [e, net.scalar(2)]), net.ints([1])], { keepdims: 0 });
    const fm = net.op('ReduceSum', [net.op('Sub', [square, squares]), net.ints([1])], { keepdims: 1 });
    net.output(net.op('Sigmoid', [net.op('Add', [fm, net.linear(relu(net, net.linear(net.op('Reshape', [e, net.ints([-1, 32])]), 32, 16)), 16, 1)])]));
    return { ids: [3, 4] };
  } },
  'Siamese: one encoder for two inputs, absolute difference': { frozen: ['it has a single output channel'], macs: 0.4, build: (net) => {
    const w = [net.weight([12, 6]), net.weight([12]), net.weight([10, 12]), net.weight([10])];
    const encode = (x: string): string => net.op('Gemm', [relu(net, net.op('Gemm', [x, w[0]!, w[1]!], { transB: 1 })), w[2]!, w[3]!], { transB: 1 });
    net.output(net.op('Sigmoid', [net.linear(net.op('Abs', [net.op('Sub', [encode(net.input('a', ['batch', 6])), encode(net.input('b', ['batch', 6]))])]), 10, 1)]));
    return { a: [2, 6], b: [2, 6] };
  } },
  'capsules: predictions by Einsum, squashed': { macs: 0.7, build: (net) => {
    const x = net.input('x', ['batch', 5, 6]), u = relu(net, net.linear(x, 6, 8)), votes = net.op('Einsum', [u, net.weight([5, 3, 8, 10])], { equation: 'bic,ijcd->bijd' });
    const s = net.op('ReduceSum', [net.op('Mul', [votes, net.op('Softmax', [net.weight([1, 5, 3, 1])], { axis: 2 })]), net.ints([1])], { keepdims: 0 });
    const norm = net.op('ReduceSum', [net.op('Mul', [s, s]), net.ints([2])], { keepdims: 1 });
    const v = net.op('Mul', [net.op('Div', [norm, net.op('Add', [net.scalar(1), norm])]), net.op('Div', [s, net.op('Sqrt', [net.op('Add', [norm, net.scalar(1e-6)])])])]);
    net.output(net.op('ReduceL2', [v], { axes: [2], keepdims: 0 }));
    return { x: [2, 5, 6] };
  } },
  'scikit-learn MLP: scaled features, sigmoid, label by ArgMax': { macs: 0.5, build: (net) => {
    const x = net.op('Div', [net.op('Sub', [net.op('Cast', [net.input('x', ['batch', 6])], { to: DataType.FLOAT }), net.weight([6])]), net.weight([6], { mean: 2 })]);
    const p = net.op('Softmax', [net.op('Add', [net.op('MatMul', [relu(net, net.op('Add', [net.op('MatMul', [x, net.weight([6, 20])]), net.weight([1, 20])])), net.weight([20, 3])]), net.weight([1, 3])])], { axis: 1 });
    net.output(p, net.op('Cast', [net.op('ArgMax', [p], { axis: 1, keepdims: 0 })], { to: DataType.FLOAT }));
    return { x: [3, 6] };
  } },
  'tf2onnx: NHWC between Transposes, bias by Add, Squeeze-MatMul head': { macs: 0.4, opset: 13, build: (net) => {
    const layer = (x: string, from: number, to: number): string => net.op('Relu', [net.op('Add', [toNhwc(net, net.op('Conv', [toNchw(net, x), net.weight([to, from, 3, 3])], { auto_pad: 'SAME_UPPER', kernel_shape: [3, 3] })), net.weight([to])])]);
    const y = layer(layer(net.input('x', ['unk__1', 8, 8, 3]), 3, 12), 12, 16), z = net.op('Add', [layer(y, 16, 16), y]);
    net.output(net.op('Softmax', [net.linear(net.op('ReduceMean', [z], { axes: [1, 2], keepdims: 0 }), 16, 5)], { axis: -1 }));
    return { x: [2, 8, 8, 3] };
  } },
  'tf2onnx: NHWC Concat, depthwise, squeeze-and-excitation, shape chain to Reshape': { macs: 0.5, opset: 15, build: (net) => {
    const x = net.input('x', ['batch', 8, 8, 3]), conv = (y: string, from: number, to: number, groups = 1): string => toNhwc(net, net.conv(toNchw(net, y), from, to, [3, 3], { groups }));
    const a = relu(net, conv(x, 3, 12)), d = net.op('Clip', [conv(a, 12, 12, 12), net.scalar(0), net.scalar(6)]);
    const gate = net.op('Sigmoid', [net.linear(relu(net, net.linear(net.op('ReduceMean', [d], { axes: [1, 2], keepdims: 1 }), 12, 4)), 4, 12)]);
    const both = net.op('Concat', [net.op('Mul', [d, gate]), a], { axis: 3 });
    const count = net.op('Cast', [net.op('Slice', [net.op('Cast', [net.op('Shape', [both])], { to: DataType.INT32 }), net.ints([0]), net.ints([1]), net.ints([0])])], { to: DataType.INT64 });
    net.output(net.linear(net.op('Reshape', [both, net.op('Concat', [count, net.ints([8 * 8 * 24])], { axis: 0 })]), 8 * 8 * 24, 4));
    return { x: [2, 8, 8, 3] };
  } },
  'Keras: Dense on channels last, GlobalMaxPooling, weights as Constant nodes': { macs: 0.5, build: (net) => {
    const constant = (dims: readonly number[]): string => { const name = net.weight(dims), tensor = net.initializers.pop()!; void name; return net.op('Constant', [], { value: tensor }); };
    const dense = (x: string, from: number, to: number): string => net.op('Add', [net.op('MatMul', [x, constant([from, to])]), constant([to])]);
    const y = relu(net, dense(relu(net, dense(net.input('x', ['batch', 6, 8]), 8, 12)), 12, 16));
    net.output(dense(net.op('ReduceMax', [y], { axes: [1], keepdims: 0 }), 16, 4));
    return { x: [2, 6, 8] };
  } },
  'PaddlePaddle: Conv and BatchNormalization, HardSwish by its parts, scale by Mul, flattened by Shape': { macs: 0.45, opset: 11, build: (net) => {
    const act = (y: string): string => net.op('Div', [net.op('Mul', [y, net.op('Clip', [net.op('Add', [y, net.floats([3], [1])]), net.scalar(0), net.scalar(6)])]), net.floats([6], [1])]);
    const block = (y: string, from: number, to: number): string => act(batchNorm(net, net.conv(y, from, to, [3, 3], { bias: false }), to));
    const y = block(block(net.input('x', ['batch', 3, 8, 8]), 3, 12), 12, 16), pooled = net.op('GlobalAveragePool', [y]);
    const flat = net.op('Reshape', [pooled, net.op('Concat', [net.op('Slice', [net.op('Shape', [pooled]), net.ints([0]), net.ints([1])]), net.ints([-1])], { axis: 0 })]);
    net.output(net.op('Add', [net.op('MatMul', [flat, net.weight([16, 5])]), net.weight([5])]));
    return { x: [2, 3, 8, 8] };
  } },
  'weights behind Transpose, Cast and Reshape': { macs: 0.4, build: (net) => {
    const x = net.input('x', ['batch', 3, 8, 8]), kernel = (to: number, from: number): string => net.op('Transpose', [net.weight([3, 3, from, to])], { perm: [3, 2, 0, 1] });
    const y = relu(net, net.op('Conv', [relu(net, net.op('Conv', [x, kernel(12, 3)], { pads: [1, 1, 1, 1] })), kernel(16, 12)], { pads: [1, 1, 1, 1] }));
    const flat = net.op('Flatten', [net.op('GlobalAveragePool', [y])], { axis: 1 }), double = net.op('Cast', [net.op('Cast', [net.weight([10, 16])], { to: DataType.DOUBLE })], { to: DataType.FLOAT });
    net.output(net.linear(relu(net, net.op('MatMul', [flat, net.op('Transpose', [double], { perm: [1, 0] })])), 10, 4));
    return { x: [2, 3, 8, 8] };
  } },
  'LoRA left unmerged: product of two thin matrices added': { macs: 0.6, build: (net) => {
    const x = net.input('x', ['batch', 12]), layer = (y: string, from: number, to: number): string =>
      net.op('Add', [net.linear(y, from, to), net.op('Mul', [net.op('MatMul', [net.op('MatMul', [y, net.weight([from, 4])]), net.weight([4, to])]), net.scalar(2)])]);
    net.output(layer(relu(net, layer(relu(net, layer(x, 12, 16)), 16, 14)), 14, 5));
    return { x: [2, 12] };
  } },
  'Loop over a layer that reads an outer weight, the rest pruned': { macs: 0.9, frozen: ['Loop with a subgraph'], build: (net) => {
    const x = net.linear(net.input('x', ['batch', 6]), 6, 8), weight = net.weight([8, 8]);
    const body = inner(makeNode('MatMul', ['state', weight], ['next']), 'still');
    body.nodes.push(makeNode('Identity', ['go'], ['still']));
    body.inputs.push(valueInfo('step', [], DataType.INT64), valueInfo('go', [], DataType.BOOL), valueInfo('state', ['batch', 8]));
    body.outputs.splice(0, 1, valueInfo('still', [], DataType.BOOL), valueInfo('next', ['batch', 8]));
    const [y = ''] = net.ops('Loop', [net.ints([3], []), '', x], 1);
    net.nodes.at(-1)!.attribute = [graphAttribute('body', body)];
    net.output(net.linear(relu(net, net.linear(y, 8, 20)), 20, 4));
    return { x: [2, 6] };
  } },
  'sequences: split, taken apart and joined again': { macs: 0.9, frozen: ['SplitToSequence of values that are not tensors'], build: (net) => {
    const x = relu(net, net.linear(net.input('x', ['batch', 6]), 6, 8)), sequence = net.op('SplitToSequence', [x, net.ints([4, 4])], { axis: 1 });
    const parts = [0, 1].map((i) => net.op('SequenceAt', [sequence, net.ints([i], [])]));
    net.output(net.linear(relu(net, net.linear(net.op('Concat', parts, { axis: 1 }), 8, 20)), 20, 4));
    return { x: [2, 6] };
  } },
  'double precision throughout': { macs: 0.5, build: (net) => { net.output(net.linear(relu(net, net.linear(net.input('x', ['batch', 6], DataType.DOUBLE), 6, 16)), 16, 4)); return { x: [2, 6] }; },
    finish: (model) => { for (const tensor of model.graph.initializer) { tensor.dataType = DataType.DOUBLE; tensor.rawData = new Uint8Array(Float64Array.from(new Float32Array(new Uint8Array(tensor.rawData).buffer)).buffer); } for (const output of model.graph.output) if (output.type?.value.case === 'tensorType') output.type.value.value.elemType = DataType.DOUBLE; return model; } },
  'nothing to remove': { macs: 1, build: (net) => { net.output(net.op('Softmax', [net.op('MaxPool', [net.input('x', [1, 3, 8, 8])], { kernel_shape: [2, 2] })], { axis: 1 })); return { x: [1, 3, 8, 8] }; } },
};
