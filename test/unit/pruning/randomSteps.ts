/** Random networks for property tests: steps that fast-check draws and shrinks. */
import fc from 'fast-check';
import { type Model, Network } from './network.ts';

interface Image { readonly name: string; readonly channels: number; readonly size: number }
/** One step of a random network: which operator, on which values made so far, with which parameter. */
export interface Step { readonly op: keyof typeof steps; readonly a: number; readonly b: number; readonly p: number }

const pick = <T>(list: readonly T[], index: number): T => list[index % list.length]!;
const divisorsOf = (n: number): number[] => Array.from({ length: n }, (_, i) => i + 1).filter((d) => n % d === 0);

/** Operators on [batch, channels, size, size]; each returns new values, none where the step does not fit. */
const steps = {
  conv: (net: Network, x: Image, _: Image, p: number): Image[] => {
    const groups = pick(divisorsOf(x.channels), p), out = groups * (1 + (p % 3)) * (groups < 3 ? 4 : 1), kernel = p % 2 ? [3, 3] : [1, 1];
    return [{ ...x, name: net.conv(x.name, x.channels, out, kernel, { groups, bias: p % 5 > 0 }), channels: out }];
  },
  depthwise: (net: Network, x: Image): Image[] => [{ ...x, name: net.conv(x.name, x.channels, x.channels, [3, 3], { groups: x.channels }) }],
  activation: (net: Network, x: Image, _: Image, p: number): Image[] => [{ ...x, name: net.op(pick(['Relu', 'Sigmoid', 'Tanh', 'HardSwish', 'Exp', 'Softplus'], p), [x.name]) }],
  batchNorm: (net: Network, x: Image): Image[] => [{ ...x, name: net.op('BatchNormalization', [x.name, net.weight([x.channels], { mean: 1 }), net.weight([x.channels]), net.weight([x.channels]), net.weight([x.channels], { mean: 1, scale: 0.4 })]) }],
  binary: (net: Network, x: Image, y: Image, p: number): Image[] => (x.channels === y.channels && x.size === y.size ? [{ ...x, name: net.op(pick(['Add', 'Mul', 'Max', 'Sub'], p), [x.name, y.name]) }] : []),
  constant: (net: Network, x: Image, _: Image, p: number): Image[] => [{ ...x, name: net.op(pick(['Add', 'Mul', 'PRelu'], p), [x.name, net.weight([x.channels, 1, 1])]) }],
  concat: (net: Network, x: Image, y: Image): Image[] => (x.size === y.size && x.channels + y.channels <= 48 ? [{ ...x, name: net.op('Concat', [x.name, y.name], { axis: 1 }), channels: x.channels + y.channels }] : []),
  split: (net: Network, x: Image, _: Image, p: number): Image[] => {
    const first = 1 + (p % Math.max(1, x.channels - 1));
    if (x.channels < 2) return [];
    const parts = net.ops('Split', [x.name, net.ints([first, x.channels - first])], 2, { axis: 1 });
    return [{ ...x, name: parts[0]!, channels: first }, { ...x, name: parts[1]!, channels: x.channels - first }];
  },
  stride: (net: Network, x: Image, _: Image, p: number): Image[] => {
    const start = p % x.channels, step = 1 + (p % 3), channels = Math.ceil((x.channels - start) / step);
    return [{ ...x, name: net.op('Slice', [x.name, net.ints([start]), net.ints([1000]), net.ints([-3]), net.ints([step])]), channels }];
  },
  end: (net: Network, x: Image, _: Image, p: number): Image[] => { // the last channels, or all but the last
    const count = 1 + (p % x.channels), all = p % 2 === 0 ? [net.ints([-count]), net.ints([2 ** 63])] : [net.ints([0]), net.ints([-count])];
    return p % 2 === 1 && count === x.channels ? [] : [{ ...x, name: net.op('Slice', [x.name, ...all, net.ints([1])]), channels: p % 2 === 0 ? count : x.channels - count }];
  },
  gather: (net: Network, x: Image, _: Image, p: number): Image[] => {
    const positions = Array.from({ length: 1 + (p % x.channels) }, (__, i) => (i * 7 + p) % x.channels);
    return [{ ...x, name: net.op('Gather', [x.name, net.ints(positions)], { axis: 1 }), channels: positions.length }];
  },
  shuffle: (net: Network, x: Image, _: Image, p: number): Image[] => {
    const groups = pick(divisorsOf(x.channels), p), split = net.op('Reshape', [x.name, net.ints([-1, groups, x.channels / groups, x.size, x.size])]);
    return [{ ...x, name: net.op('Reshape', [net.op('Transpose', [split], { perm: [0, 2, 1, 3, 4] }), net.ints([0, x.channels, x.size, x.size])]) }];
  },
  gate: (net: Network, x: Image, _: Image, p: number): Image[] => {
    const width = 1 + (p % 5), squeezed = net.op('Relu', [net.conv(net.op('GlobalAveragePool', [x.name]), x.channels, width)]);
    return [{ ...x, name: net.op('Mul', [x.name, net.op('Sigmoid', [net.conv(squeezed, width, x.channels)])]) }];
  },
  attention: (net: Network, x: Image, _: Image, p: number): Image[] => {
    const heads = pick(divisorsOf(x.channels), p), depth = x.channels / heads, length = x.size * x.size;
    const tokens = net.op('Transpose', [net.op('Reshape', [x.name, net.ints([0, 0, length])])], { perm: [0, 2, 1] });
    const [q = '', k = '', v = ''] = p % 2
      ? net.ops('Split', [net.linear(tokens, x.channels, 3 * x.channels), net.ints([x.channels, x.channels, x.channels])], 3, { axis: -1 })
      : [0, 1, 2].map(() => net.linear(tokens, x.channels, x.channels));
    const toHeads = (y: string): string => net.op('Transpose', [net.op('Reshape', [y, net.ints([0, 0, heads, depth])])], { perm: [0, 2, 1, 3] });
    const scores = net.op('Softmax', [net.op('MatMul', [toHeads(q), net.op('Transpose', [toHeads(k)], { perm: [0, 1, 3, 2] })])], { axis: -1 });
    const joined = net.op('Reshape', [net.op('Transpose', [net.op('MatMul', [scores, toHeads(v)])], { perm: [0, 2, 1, 3] }), net.ints([0, length, x.channels])]);
    return [{ ...x, name: net.op('Reshape', [net.op('Transpose', [joined], { perm: [0, 2, 1] }), net.ints([0, x.channels, x.size, x.size])]) }];
  },
  channelNorm: (net: Network, x: Image): Image[] => {
    const last = net.layerNorm(net.op('Transpose', [x.name], { perm: [0, 2, 3, 1] }), x.channels);
    return [{ ...x, name: net.op('Transpose', [last], { perm: [0, 3, 1, 2] }) }];
  },
  unitLength: (net: Network, x: Image): Image[] => [{ ...x, name: net.op('Div', [x.name, net.op('Add', [net.op('ReduceL2', [x.name], { axes: [1], keepdims: 1 }), net.weight([], { scale: 0, mean: 1 })])]) }],
  channelGate: (net: Network, x: Image, _: Image, p: number): Image[] => // means and extremes over channels
    [{ ...x, name: net.op('Mul', [x.name, net.op('Sigmoid', [net.op(pick(['ReduceMean', 'ReduceMax', 'ReduceMin'], p), [x.name], { axes: [1], keepdims: 1 })])]) }],
  rootMeanSquare: (net: Network, x: Image): Image[] => {
    const last = net.op('SimplifiedLayerNormalization', [net.op('Transpose', [x.name], { perm: [0, 2, 3, 1] }), net.weight([x.channels], { mean: 1 })], { axis: -1, epsilon: { float: 1e-3 } });
    return [{ ...x, name: net.op('Transpose', [last], { perm: [0, 3, 1, 2] }) }];
  },
  recurrent: (net: Network, x: Image, _: Image, p: number): Image[] => { // pixels as time
    const directions = 1 + (p % 2), hidden = 2 + (p % 4), length = x.size * x.size, time = net.op('Transpose', [net.op('Reshape', [x.name, net.ints([0, 0, length])])], { perm: [2, 0, 1] });
    const [y = ''] = net.ops('GRU', [time, net.weight([directions, 3 * hidden, x.channels]), net.weight([directions, 3 * hidden, hidden]), net.weight([directions, 6 * hidden])], 1, { hidden_size: hidden, direction: directions === 2 ? 'bidirectional' : 'forward' });
    const all = net.op('Reshape', [net.op('Transpose', [y], { perm: [2, 1, 3, 0] }), net.ints([0, directions * hidden, x.size, x.size])]);
    return [{ ...x, name: all, channels: directions * hidden }];
  },
  unpool: (net: Network, x: Image): Image[] => {
    if (x.size < 2) return [];
    const window = { kernel_shape: [2, 2], strides: [2, 2] }, [low = '', where = ''] = net.ops('MaxPool', [x.name], 2, window);
    return [{ ...x, name: net.op('MaxUnpool', [net.op('Tanh', [low]), where], window) }];
  },
  scatter: (net: Network, x: Image, y: Image): Image[] => // rows of pixels written over others
    (x.channels === y.channels && x.size === y.size && x.size > 1 ? [{ ...x, name: net.op('Transpose', [net.op('ScatterND', [
      net.op('Transpose', [x.name], { perm: [2, 0, 3, 1] }), net.ints([1], [1, 1]), net.op('Slice', [net.op('Transpose', [y.name], { perm: [2, 0, 3, 1] }), net.ints([0]), net.ints([1]), net.ints([0])])])], { perm: [1, 3, 0, 2] }) }] : []),
  resize: (net: Network, x: Image): Image[] => (x.size < 8 ? [{ ...x, name: net.op('Resize', [x.name, '', net.floats([1, 1, 2, 2])], { mode: 'nearest' }), size: 2 * x.size }] : []),
  fourier: (net: Network, x: Image, _: Image, p: number): Image[] => { // power of each frequency along rows or columns
    const spectrum = net.op('DFT', [net.op('Unsqueeze', [x.name, net.ints([4])])], { axis: pick([2, 3, -3, -2], p) });
    return [{ ...x, name: net.op('ReduceSumSquare', [spectrum], { axes: [4], keepdims: 0 }) }];
  },
  softmax: (net: Network, x: Image): Image[] => [{ ...x, name: net.op('Softmax', [x.name], { axis: 1 }) }],
  pool: (net: Network, x: Image): Image[] => (x.size > 1 ? [{ ...x, name: net.op('MaxPool', [x.name], { kernel_shape: [2, 2], strides: [2, 2] }), size: x.size / 2 }] : []),
  deepen: (net: Network, x: Image): Image[] => (x.size > 1 ? [{ name: net.op('SpaceToDepth', [x.name], { blocksize: 2 }), channels: 4 * x.channels, size: x.size / 2 }] : []),
  widen: (net: Network, x: Image, _: Image, p: number): Image[] => (x.channels % 4 === 0 && x.size < 8 ? [{ name: net.op('DepthToSpace', [x.name], { blocksize: 2, mode: p % 2 ? 'CRD' : 'DCR' }), channels: x.channels / 4, size: 2 * x.size }] : []),
  tile: (net: Network, x: Image): Image[] => (x.channels <= 16 ? [{ ...x, name: net.op('Tile', [x.name, net.ints([1, 2, 1, 1])]), channels: 2 * x.channels }] : []),
  reshaped: (net: Network, x: Image): Image[] => { // a round trip whose sizes are computed in the graph
    const flat = net.op('Reshape', [x.name, net.ints([0, 0, -1])]);
    return [{ ...x, name: net.op('Reshape', [flat, net.op('Shape', [x.name])]) }];
  },
} as const;

/** The network that a list of steps describes; values that nothing reads are outputs of a 1x1 convolution each. */
export function networkOf(list: readonly Step[]): Model {
  const net = new Network(7), values: Image[] = [{ name: net.input('x', ['batch', 3, 4, 4]), channels: 3, size: 4 }];
  values.push({ ...values[0]!, name: net.conv('x', 3, 8), channels: 8 });
  for (const { op, a, b, p } of list) values.push(...steps[op](net, values[values.length - 1 - (a % Math.min(3, values.length))]!, values[b % values.length]!, p));
  const read = new Set(net.nodes.flatMap(({ input }) => input));
  net.output(...values.filter(({ name }) => !read.has(name)).map(({ name, channels }) => net.conv(name, channels, 2)));
  return net.model();
}

export const step = fc.record({ op: fc.constantFrom(...(Object.keys(steps) as (keyof typeof steps)[])), a: fc.nat(20), b: fc.nat(20), p: fc.nat(30) });
