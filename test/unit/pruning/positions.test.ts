/** Nodes that state sizes and positions: what they state after pruning must hold for every input, not only for the one that the analysis ran. */
import { describe, expect, it } from 'vitest';
import { DataType } from '../../../src/engine/onnx/tensor.ts';
import type { Analysis, KeptUnits } from '../../../src/engine/pruning/types.ts';
import { Network, expectExactOn, expectExactPruning } from './network.ts';

const most = 2 ** 63;
const widths = ({ groups }: Analysis): number[] => groups.map(({ channels }) => channels);
const first = (count: number) => ({ groups }: Analysis): KeptUnits => new Map(groups.map(({ id }) => [id, Array.from({ length: count }, (_, i) => i)]));
function int32(net: Network, values: readonly number[]): string {
  const name = net.ints(values), tensor = net.initializers.at(-1)!;
  tensor.dataType = DataType.INT32;
  tensor.rawData = new Uint8Array(Int32Array.from(values).buffer);
  return name;
}
/** Eight features for every step, in one axis of free length. */
const flat = (net: Network): string => net.op('Reshape', [net.linear(net.input('x', ['batch', 'steps', 4]), 4, 8), net.ints([0, -1])]);
const unflat = (net: Network, x: string): Network => net.output(net.linear(net.op('Relu', [net.op('Reshape', [x, net.ints([0, -1, 8])])]), 8, 3));
const lengths = [224, 100, 300, 2].map((steps) => ({ dims: { x: [2, steps, 4] } }));

describe('Slice', () => {
  it.each([17, 9])('keeps an open end of an axis that nothing is removed from (opset %i)', async (opset) => {
    const net = new Network(), y = net.conv(net.input('x', ['batch', 3, 8, 8]), 3, 10), bounds = { starts: [2, 1], ends: [8, most], axes: [1, 2] };
    net.output(net.conv(opset < 10 ? net.op('Slice', [y], bounds) : net.op('Slice', [y, net.ints(bounds.starts), net.ints(bounds.ends), net.ints(bounds.axes)]), 6, 2));
    expect(widths((await expectExactPruning(net.model(opset), { x: [2, 3, 8, 8] }, [1, 2, 3, 4])).analysis)).toEqual([9]);
  });

  it('takes bounds of 32 bits, by Gather too', async () => {
    const net = new Network(), y = net.conv(net.input('x', ['batch', 3, 8, 8]), 3, 10), plain = [int32(net, [0, 1]), int32(net, [10, 7]), int32(net, [1, 2])];
    net.output(net.conv(net.op('Concat', [net.op('Slice', [y, int32(net, [0, 1]), int32(net, [10, 7]), int32(net, [1, 2]), int32(net, [2, 1])]), net.op('Slice', [y, ...plain])], { axis: 1 }), 15, 2));
    expect(widths((await expectExactPruning(net.model(), { x: [2, 3, 8, 8] }, [1, 2, 3, 4])).analysis)).toEqual([9]);
  });

  it('may take nothing', async () => {
    const net = new Network(), y = net.conv(net.input('x', ['batch', 3, 8, 8]), 3, 10), nothing = net.op('Slice', [y, net.ints([10]), net.ints([most]), net.ints([1])]);
    net.output(net.conv(net.op('Concat', [net.op('Relu', [y]), nothing], { axis: 1 }), 10, 2));
    expect(widths((await expectExactPruning(net.model(), { x: [2, 3, 8, 8] })).analysis)).toEqual([10]);
  });

  it.each([[0, -8], [8, most], [-16, most], [-16, -8], [8, -8], [16, 2400], [0, 16]])('from %i to %i of steps and channels in one axis holds at any number of steps', async (start, end) => {
    const net = new Network();
    unflat(net, net.op('Slice', [flat(net), net.ints([start]), net.ints([end]), net.ints([1])]));
    expect(widths(await expectExactOn(net.model(), lengths))).toEqual([8]);
  });

  it('up to a computed position of such an axis does too', async () => {
    const net = new Network(), x = flat(net), size = net.op('Gather', [net.op('Shape', [x]), net.ints([1])]), end = net.op('Mul', [net.op('Div', [size, net.ints([16])]), net.ints([8])]);
    unflat(net, net.op('Slice', [x, net.ints([0]), end, net.ints([1])]));
    expect(widths(await expectExactOn(net.model(), lengths))).toEqual([8]);
  });

  it.each([[-3, most], [-3, -1], [2, -3], [-100, 100], [-1, most], [9, most]])('from %i to %i of channels keeps what stays of them', async (start, end) => {
    const net = new Network(), y = net.conv(net.input('x', ['batch', 3, 4, 4]), 3, 10), part = net.op('Slice', [y, net.ints([start]), net.ints([end]), net.ints([1])]);
    net.output(net.op('ReduceSum', [net.op('Relu', [part]), net.ints([1])]), net.conv(y, 10, 2));
    await expectExactPruning(net.model(), { x: [2, 3, 4, 4] }, [1, 2, 3, 4, 5, 6]);
  });

  it('at positions that the data say leaves the channels whole', async () => {
    const net = new Network(), x = net.input('x', ['batch', 4]), y = net.op('Relu', [net.linear(x, 4, 12)]);
    const start = net.op('Unsqueeze', [net.op('Cast', [net.op('ReduceMax', [x], { axes: [0, 1], keepdims: 0 })], { to: DataType.INT64 }), net.ints([0])]);
    const z = net.op('Slice', [y, start, net.op('Add', [start, net.ints([6])]), net.ints([1])]);
    net.output(net.linear(net.op('Relu', [net.linear(z, 6, 5)]), 5, 3));
    expect(widths(await expectExactOn(net.model(), [1, 3, 5].map((scale) => ({ dims: { x: [2, 4] }, scale }))))).toEqual([5]);
  });

  it('at positions that the size of found things says leaves the channels whole, but not the axes beside it', async () => {
    const net = new Network(), x = net.input('x', ['batch', 3, 4]), found = net.op('NonZero', [net.op('Greater', [x, net.scalar(1)])]);
    const start = net.op('Div', [net.op('Slice', [net.op('Shape', [found]), net.ints([1]), net.ints([2])]), net.ints([4])]), y = net.op('Relu', [net.linear(net.linear(x, 4, 7), 7, 12)]);
    const z = net.op('Slice', [y, start, net.op('Add', [start, net.ints([6])]), net.ints([2])]);
    net.output(net.linear(z, 6, 3), net.linear(net.op('Slice', [net.linear(x, 4, 5), net.ints([0]), net.op('Add', [start, net.ints([1])]), net.ints([1])]), 5, 3));
    expect(widths(await expectExactOn(net.model(), [1, 2].map((scale) => ({ dims: { x: [1, 3, 4] }, scale }))))).toEqual([7, 5]);
  });
});

describe('Split', () => {
  it.each([18, 17, 11])('into equal parts of steps and channels in one axis holds at any number of steps (opset %i)', async (opset) => {
    const net = new Network(), [a = '', b = ''] = net.ops('Split', [flat(net)], 2, { axis: 1, ...(opset >= 18 ? { num_outputs: 2 } : {}) });
    unflat(net, net.op('Mul', [a, b]));
    expect(widths(await expectExactOn(net.model(opset), lengths))).toEqual([8]);
  });

  it('into computed parts of such an axis does too', async () => {
    const net = new Network(), x = flat(net), size = net.op('Gather', [net.op('Shape', [x]), net.ints([1])]), [a = ''] = net.ops('Split', [x, net.op('Concat', [net.op('Sub', [size, net.ints([8])]), net.ints([8])], { axis: 0 })], 2, { axis: 1 });
    unflat(net, a);
    expect(widths(await expectExactOn(net.model(), lengths))).toEqual([8]);
  });

  it.each([18, 17, 11])('into equal parts says how large they are where one becomes smaller than the others (opset %i)', async (opset) => {
    const net = new Network(), parts = net.ops('Split', [net.conv(net.input('x', ['n', 3, 8, 8]), 3, 12)], 2, { axis: 1, ...(opset >= 18 ? { num_outputs: 2 } : {}) });
    net.output(net.conv(net.op('Concat', parts.map((part) => net.conv(part, 6, 4)), { axis: 1 }), 8, 2));
    const kept = ({ groups }: Analysis): KeptUnits => new Map(groups.map(({ id, channels }) => [id, Array.from({ length: channels }, (_, unit) => unit).filter((unit) => channels < 10 || ![4, 8, 9].includes(unit))]));
    expect(widths(await expectExactOn(net.model(opset), [{ dims: { x: [1, 3, 8, 8] } }, { dims: { x: [2, 3, 8, 8] } }], kept))).toEqual([10, 4, 4]); // one channel of each part has to stay
  });

  it('into parts whose sizes the data say leaves the channels whole', async () => {
    const net = new Network(), x = net.input('x', ['batch', 4]), y = net.op('Relu', [net.linear(x, 4, 12)]);
    const size = net.op('Unsqueeze', [net.op('Cast', [net.op('ReduceMax', [x], { axes: [0, 1], keepdims: 0 })], { to: DataType.INT64 }), net.ints([0])]), middle = net.ints([6]);
    const [, b = ''] = net.ops('Split', [y, net.op('Concat', [size, middle, net.op('Sub', [middle, size])], { axis: 0 })], 3, { axis: 1 });
    net.output(net.linear(b, 6, 3));
    expect(widths(await expectExactOn(net.model(), [1, 3, 5].map((scale) => ({ dims: { x: [2, 4] }, scale }))))).toEqual([]);
  });
});

describe('Gather', () => {
  it('from the back of steps and channels in one axis holds at any number of steps', async () => {
    const net = new Network();
    unflat(net, net.op('Gather', [flat(net), net.ints([-8, -7, -6, -5, -4, -3, -2, -1])], { axis: 1 }));
    expect(widths(await expectExactOn(net.model(), lengths))).toEqual([8]);
  });
});

describe('Reshape', () => {
  it.each([0, 1])('states a size that it copied, where it is no longer the same (group %i)', async (group) => {
    const net = new Network(), x = net.input('x', ['batch', 4]), z = net.op('Reshape', [net.op('Reshape', [net.linear(x, 4, 128), net.ints([0, 4, 4, 8])]), net.ints([0, 8, 0, 4])]);
    net.output(net.linear(net.op('Reshape', [net.op('Relu', [z]), net.ints([0, 128])]), 128, 3));
    for (const count of [1, 2, 3]) await expectExactOn(net.model(), [{ dims: { x: [2, 4] } }], ({ groups }) => new Map(groups.filter((_, i) => i === group).map(({ id, channels }) => [id, Array.from({ length: Math.min(count, channels) }, (_, i) => i)])));
  });
});

describe('Squeeze', () => {
  it.each([7, 8, 9])('without axes keeps a channel that is left alone (opset %i)', async (opset) => {
    const net = new Network();
    net.output(net.linear(net.op('Squeeze', [net.op('GlobalAveragePool', [net.conv(net.input('x', ['batch', 3, 8, 8]), 3, 6)])]), 6, 3));
    for (const count of [1, 2]) await expectExactOn(net.model(opset), [1, 3].map((batch) => ({ dims: { x: [batch, 3, 8, 8] } })), first(count));
  });

  it.each([[['batch', 3, 8, 8], [1, 3]], [[2, 3, 8, 8], [2]]] as const)('without axes keeps a channel that is left alone (input %j)', async (dims, batches) => {
    const net = new Network();
    net.output(net.linear(net.op('Squeeze', [net.op('GlobalAveragePool', [net.conv(net.input('x', dims), 3, 6)])]), 6, 3));
    for (const count of [1, 2]) expect(widths(await expectExactOn(net.model(), batches.map((batch) => ({ dims: { x: [batch, 3, 8, 8] } })), first(count)))).toEqual([6]);
  });
});
