import { create } from '@bufbuild/protobuf';
import { AttributeProtoSchema, AttributeProto_AttributeType } from 'onnx-buf';
import { describe, expect, it } from 'vitest';
import { DataType, halfToFloat, floatToHalf } from '../../../src/engine/onnx/tensor.ts';
import { Network, expectExactPruning } from './network.ts';

const tokens = { ids: [2, 6] };
const sizes = (groups: readonly { channels: number }[]): number[] => groups.map(({ channels }) => channels).sort((a, b) => a - b);

/** Multi-head attention with a causal mask over [batch, time, width]; heads are split by Reshape with sizes computed in the graph. */
function attention(net: Network, x: string, { width = 12, heads = 3, depth = 4, fused = false } = {}): string {
  const inner = heads * depth, shape = net.op('Shape', [x]);
  const size = (i: number): string => net.op('Unsqueeze', [net.op('Gather', [shape, net.ints([i], [])], { axis: 0 }), net.ints([0])]);
  const toHeads = (y: string): string => net.op('Transpose', [net.op('Reshape', [y, net.op('Concat', [size(0), size(1), net.ints([heads, depth])], { axis: 0 })])], { perm: [0, 2, 1, 3] });
  let parts: string[];
  if (fused) {
    const all = net.op('Transpose', [net.op('Reshape', [net.linear(x, width, 3 * inner), net.op('Concat', [size(0), size(1), net.ints([3, heads, depth])], { axis: 0 })])], { perm: [2, 0, 3, 1, 4] });
    parts = [0, 1, 2].map((i) => net.op('Gather', [all, net.ints([i], [])], { axis: 0 }));
  } else parts = [0, 1, 2].map(() => toHeads(net.linear(x, width, inner)));
  const [q = '', k = '', v = ''] = parts;
  // 1 / sqrt(depth), computed from a shape that pruning changes
  const last = net.op('Gather', [net.op('Shape', [q]), net.ints([-1], [])], { axis: 0 });
  const scale = net.op('Div', [net.weight([], { scale: 0, mean: 1 }), net.op('Sqrt', [net.op('Cast', [last], { to: DataType.FLOAT })])]);
  const scores = net.op('Mul', [net.op('MatMul', [q, net.op('Transpose', [k], { perm: [0, 1, 3, 2] })]), scale]);
  const mixed = net.op('MatMul', [net.op('Softmax', [scores], { axis: -1 }), v]);
  const joined = net.op('Reshape', [net.op('Transpose', [mixed], { perm: [0, 2, 1, 3] }), net.op('Concat', [size(0), size(1), net.ints([inner])], { axis: 0 })]);
  return net.linear(joined, inner, width);
}

describe('pruning of sequence networks', () => {
  it.each([false, true])('prunes a GPT-like decoder: heads, head widths and hidden widths (fused projections: %s)', async (fused) => {
    const net = new Network(), ids = net.input('ids', ['batch', 'time'], DataType.INT64);
    let x = net.op('Add', [net.op('Gather', [net.weight([20, 12]), ids]), net.op('Slice', [net.weight([1, 8, 12]), net.ints([0]), net.op('Gather', [net.op('Shape', [ids]), net.ints([1])]), net.ints([1])])]);
    x = net.op('Add', [x, attention(net, net.layerNorm(x, 12), { fused })]);
    const h = net.linear(net.layerNorm(x, 12), 12, 24);
    const gelu = net.op('Mul', [net.op('Mul', [h, net.weight([], { scale: 0, mean: 0.5 })]), net.op('Add', [net.op('Tanh', [net.op('Add', [h, net.op('Pow', [h, net.weight([], { scale: 0, mean: 3 })])])]), net.weight([], { scale: 0, mean: 1 })])]);
    x = net.op('Add', [x, net.linear(gelu, 24, 12)]);
    net.output(net.op('MatMul', [net.layerNorm(x, 12), net.weight([12, 20])]));
    const { analysis } = await expectExactPruning(net.model(), tokens, [1, 2, 3]);
    // heads; width of queries and keys; width of values; hidden. Fused projections share one width
    expect(sizes(analysis.groups)).toEqual(fused ? [3, 4, 24] : [3, 4, 4, 24]);
  });

  it('prunes grouped-query attention whose key and value heads are repeated by Expand', async () => {
    const net = new Network(), x = net.input('x', ['batch', 5, 10]);
    const heads = (y: string, count: number): string => net.op('Transpose', [net.op('Reshape', [y, net.ints([0, 0, count, 4])])], { perm: [0, 2, 1, 3] });
    const repeat = (y: string): string => net.op('Reshape', [net.op('Expand', [net.op('Unsqueeze', [y, net.ints([2])]), net.ints([1, 2, 3, 5, 4])]), net.ints([0, 6, 5, 4])]);
    const q = heads(net.linear(x, 10, 24), 6), k = repeat(heads(net.linear(x, 10, 8), 2)), v = repeat(heads(net.linear(x, 10, 8), 2));
    const scores = net.op('Softmax', [net.op('MatMul', [q, net.op('Transpose', [k], { perm: [0, 1, 3, 2] })])], { axis: -1 });
    const joined = net.op('Reshape', [net.op('Transpose', [net.op('MatMul', [scores, v])], { perm: [0, 2, 1, 3] }), net.ints([0, 5, 24])]);
    net.output(net.linear(joined, 24, 7));
    const { analysis } = await expectExactPruning(net.model(), { x: [2, 5, 10] }, [1, 2, 3]);
    expect(sizes(analysis.groups)).toEqual([2, 3, 4, 4]);
  });

  it('prunes rotary embeddings in pairs', async () => {
    const net = new Network(), x = net.input('x', ['batch', 5, 10]), cos = net.weight([5, 8]), sin = net.weight([5, 8]);
    const rotate = (y: string): string => {
      const half = (from: number): string => net.op('Slice', [y, net.ints([from]), net.ints([from + 4]), net.ints([2])]);
      return net.op('Add', [net.op('Mul', [y, cos]), net.op('Mul', [net.op('Concat', [net.op('Neg', [half(4)]), half(0)], { axis: 2 }), sin])]);
    };
    const scores = net.op('MatMul', [rotate(net.linear(x, 10, 8)), net.op('Transpose', [rotate(net.linear(x, 10, 8))], { perm: [0, 2, 1] })]);
    net.output(net.linear(net.op('MatMul', [net.op('Softmax', [scores], { axis: -1 }), net.linear(x, 10, 6)]), 6, 3));
    const { analysis } = await expectExactPruning(net.model(), { x: [2, 5, 10] });
    expect(sizes(analysis.groups)).toEqual([4, 6]);
  });

  it('prunes gated linear units split by Split, and the width that an RMS normalisation runs over', async () => {
    const net = new Network(), x = net.input('x', ['batch', 5, 10]), y = net.linear(x, 10, 12);
    const rms = net.op('Sqrt', [net.op('Add', [net.op('ReduceMean', [net.op('Mul', [y, y])], { axes: [-1] }), net.weight([], { scale: 0, mean: 1e-5 })])]);
    const [a = '', b = ''] = net.ops('Split', [net.linear(net.op('Mul', [net.op('Div', [y, rms]), net.weight([12])]), 12, 16)], 2, { axis: -1 });
    net.output(net.linear(net.op('Mul', [a, net.op('Sigmoid', [b])]), 8, 3));
    const { analysis } = await expectExactPruning(net.model(), { x: [2, 5, 10] });
    expect(sizes(analysis.groups)).toEqual([8, 12]);
  });

  it('prunes queries and keys that are normalised by their length, and attention written as Einsum', async () => {
    const net = new Network(), x = net.input('x', ['batch', 5, 10]);
    const unit = (y: string): string => net.op('Div', [y, net.op('Clip', [net.op('ReduceL2', [y], { axes: [-1], keepdims: 1 }), net.weight([], { scale: 0, mean: 1e-6 })])]);
    const q = unit(net.linear(x, 10, 8)), k = unit(net.op('Einsum', [x, net.weight([10, 8])], { equation: 'bti,ij->btj' })), v = net.linear(x, 10, 6);
    const mixed = net.op('Einsum', [net.op('Softmax', [net.op('Einsum', [q, k], { equation: 'bqd,bkd->bqk' })], { axis: -1 }), v], { equation: 'bqk,bkd->bqd' });
    net.output(net.linear(mixed, 6, 3));
    const { analysis } = await expectExactPruning(net.model(), { x: [2, 5, 10] });
    expect(sizes(analysis.groups)).toEqual([6, 8]);
  });

  it.each([['LSTM', 4], ['GRU', 3], ['RNN', 1]] as const)('prunes the hidden width of a bidirectional %s', async (opType, gates) => {
    const net = new Network(), ids = net.input('ids', ['batch', 'time'], DataType.INT64), hidden = 6;
    const x = net.op('Transpose', [net.op('Gather', [net.weight([20, 8]), ids])], { perm: [1, 0, 2] });
    const [y = ''] = net.ops(opType, [x, net.weight([2, gates * hidden, 8]), net.weight([2, gates * hidden, hidden]), net.weight([2, 2 * gates * hidden])], 1, { hidden_size: hidden, direction: 'bidirectional' });
    const joined = net.op('Reshape', [net.op('Transpose', [y], { perm: [0, 2, 1, 3] }), net.ints([0, 0, -1])]);
    net.output(net.linear(net.op('ReduceMax', [joined], { axes: [0], keepdims: 0 }), 2 * hidden, 4));
    const { analysis } = await expectExactPruning(net.model(), tokens, [1, 2, 3]);
    expect(sizes(analysis.groups)).toEqual([hidden, 8]);
  });

  it('prunes attention over an LSTM whose first state is zeros of a computed shape', async () => {
    const net = new Network(), x = net.input('x', ['time', 'batch', 8]), batch = net.op('Slice', [net.op('Shape', [x]), net.ints([1]), net.ints([2])]);
    const state = net.op('ConstantOfShape', [net.op('Concat', [net.ints([1]), batch, net.ints([6])], { axis: 0 })]);
    const [y = ''] = net.ops('LSTM', [x, net.weight([1, 24, 8]), net.weight([1, 24, 6]), net.weight([1, 48]), '', state, state], 1, { hidden_size: 6 });
    const h = net.op('Transpose', [net.op('Squeeze', [y, net.ints([1])])], { perm: [1, 0, 2] });
    const scores = net.op('Softmax', [net.op('MatMul', [h, net.op('Transpose', [h], { perm: [0, 2, 1] })])], { axis: -1 });
    net.output(net.linear(net.op('MatMul', [scores, h]), 6, 4));
    const { analysis } = await expectExactPruning(net.model(), { x: [5, 2, 8] });
    expect(sizes(analysis.groups)).toEqual([6]);
  });

  it('prunes between several inputs and outputs, and through weights that are transposed in the graph', async () => {
    const net = new Network(), a = net.input('a', ['batch', 6]), b = net.input('b', ['batch', 4]);
    const turned = (x: string, from: number, to: number): string => net.op('MatMul', [x, net.op('Transpose', [net.weight([to, from])], { perm: [1, 0] })]);
    const left = turned(a, 6, 8), right = turned(b, 4, 8), sum = net.op('Relu', [net.op('Add', [left, right])]);
    net.output(turned(sum, 8, 3), turned(net.op('Concat', [sum, net.op('Tanh', [turned(a, 6, 5)])], { axis: 1 }), 13, 2));
    const { analysis } = await expectExactPruning(net.model(), { a: [3, 6], b: [3, 4] });
    expect(sizes(analysis.groups)).toEqual([5, 8]);
  });

  it('leaves what an If reads whole, and prunes the rest', async () => {
    const net = new Network(), x = net.input('x', ['batch', 6]), y = net.linear(x, 6, 8), z = net.linear(net.op('Relu', [net.linear(x, 6, 10)]), 10, 8);
    const branch = (op: string): Network => { const inner = new Network(); const out = `${op}_out`; inner.op(op, [y]); inner.nodes[0]!.output = [out]; return inner.output(out); };
    const [result = ''] = net.ops('If', [net.op('Greater', [net.op('ReduceSum', [x], { keepdims: 0 }), net.weight([], { scale: 0 })])], 1);
    net.nodes.at(-1)!.attribute = ([['then_branch', 'Relu'], ['else_branch', 'Tanh']] as const)
      .map(([name, op]) => create(AttributeProtoSchema, { name, type: AttributeProto_AttributeType.GRAPH, g: branch(op).model().graph }));
    net.output(net.op('Add', [result, z]));
    const { analysis } = await expectExactPruning(net.model(), { x: [2, 6] });
    expect(sizes(analysis.groups)).toEqual([10]);
    expect(analysis.frozen.map(({ reason }) => reason)).toContain('read inside a subgraph');
  });

  it('prunes weights kept as float16, as double in typed fields, and in Constant nodes', async () => {
    const net = new Network(), x = net.input('x', ['batch', 6]);
    const half = net.weight([6, 8]), double = net.weight([8, 10]), constant = net.weight([10, 5]);
    const tensor = (name: string) => net.initializers.find((own) => own.name === name)!;
    const bits = floatToHalf(new Float32Array(new Uint8Array(tensor(half).rawData).buffer), DataType.FLOAT16);
    expect(halfToFloat(bits, DataType.FLOAT16).length).toBe(48);
    Object.assign(tensor(half), { dataType: DataType.FLOAT16, rawData: new Uint8Array(bits.buffer) });
    const values = new Float32Array(new Uint8Array(tensor(double).rawData).buffer);
    Object.assign(tensor(double), { dataType: DataType.DOUBLE, doubleData: [...values] });
    Reflect.deleteProperty(tensor(double), 'rawData');
    const h = net.op('Relu', [net.op('MatMul', [x, net.op('Cast', [half], { to: DataType.FLOAT })])]);
    const g = net.op('Relu', [net.op('MatMul', [h, net.op('Cast', [double], { to: DataType.FLOAT })])]);
    const weight = net.op('Constant', [], { value: tensor(constant) });
    net.initializers.splice(net.initializers.indexOf(tensor(constant)), 1);
    net.output(net.op('MatMul', [g, weight]));
    const { analysis, pruned } = await expectExactPruning(net.model(), { x: [2, 6] });
    expect(sizes(analysis.groups)).toEqual([8, 10]);
    expect(pruned.graph.initializer.find(({ name }) => name === half)!.dataType).toBe(DataType.FLOAT16);
  });
});
