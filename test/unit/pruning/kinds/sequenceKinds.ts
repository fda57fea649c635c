/** Audio, time series and recurrent networks. */
import { DataType } from '../../../../src/engine/onnx/tensor.ts';
import type { Network } from '../network.ts';
import type { Kind } from './kind.ts';

const relu = (net: Network, x: string): string => net.op('Relu', [x]);
const conv1 = (net: Network, x: string, from: number, to: number, k = 3, dilation = 1, groups = 1): string =>
  net.op('Conv', [x, net.weight([to, from / groups, k]), net.weight([to])], { dilations: [dilation], pads: [dilation * (k - 1) / 2, dilation * (k - 1) / 2], group: groups });
const dim = (net: Network, x: string, i: number): string => net.op('Unsqueeze', [net.op('Gather', [net.op('Shape', [x]), net.ints([i], [])], { axis: 0 }), net.ints([0])]);
const gatesOf = { LSTM: 4, GRU: 3, RNN: 1 } as const;
/** A recurrent layer as torch.onnx writes it: zero states of computed shape, directions joined by Transpose and Reshape. @returns [time, batch, directions * hidden] */
function recurrent(net: Network, kind: keyof typeof gatesOf, x: string, width: number, hidden: number, { directions = 2, states = true } = {}): { all: string; last: string } {
  const gates = gatesOf[kind], state = (): string => net.op('ConstantOfShape', [net.op('Concat', [net.ints([directions]), dim(net, x, 1), net.ints([hidden])], { axis: 0 })]);
  const initial = states ? [state(), ...(kind === 'LSTM' ? [state()] : [])] : [];
  const outs = net.ops(kind, [x, net.weight([directions, gates * hidden, width]), net.weight([directions, gates * hidden, hidden]), net.weight([directions, 2 * gates * hidden]), ...(states ? [''] : []), ...initial], kind === 'LSTM' ? 3 : 2,
    { hidden_size: hidden, direction: directions === 2 ? 'bidirectional' : 'forward', ...(kind === 'GRU' ? { linear_before_reset: 1 } : {}) });
  const all = directions === 2 ? net.op('Reshape', [net.op('Transpose', [outs[0]!], { perm: [0, 2, 1, 3] }), net.ints([0, 0, -1])]) : net.op('Squeeze', [outs[0]!, net.ints([1])]);
  return { all, last: outs[1]! };
}
const series = (net: Network, width: number): string => net.input('x', ['batch', 'time', width]);
const timeFirst = (net: Network, x: string): string => net.op('Transpose', [x], { perm: [1, 0, 2] });

export const kinds: Readonly<Record<string, Kind>> = {
  'WaveNet: gated Tanh and Sigmoid of two convolutions, skips': { macs: 0.36, build: (net) => {
    let y = conv1(net, net.input('x', ['batch', 1, 'time']), 1, 10, 1);
    const skips: string[] = [];
    for (const dilation of [1, 2, 4]) {
      const gated = net.op('Mul', [net.op('Tanh', [conv1(net, y, 10, 12, 3, dilation)]), net.op('Sigmoid', [conv1(net, y, 10, 12, 3, dilation)])]);
      skips.push(conv1(net, gated, 12, 8, 1));
      y = net.op('Add', [conv1(net, gated, 12, 10, 1), y]);
    }
    net.output(conv1(net, relu(net, conv1(net, relu(net, net.op('Add', [net.op('Add', [skips[0]!, skips[1]!]), skips[2]!])), 8, 12, 1)), 12, 6, 1));
    return { x: [2, 1, 16] };
  } },
  'TCN: causal padding cut off again by Slice': { macs: 0.36, build: (net) => {
    const x = net.input('x', ['batch', 4, 'time']), causal = (y: string, from: number, to: number, d: number): string => {
      const wide = net.op('Conv', [y, net.weight([to, from, 2]), net.weight([to])], { dilations: [d], pads: [d, d] });
      return relu(net, net.op('Slice', [wide, net.ints([0]), net.ints([-d]), net.ints([2]), net.ints([1])]));
    };
    const a = relu(net, net.op('Add', [causal(causal(x, 4, 12, 1), 12, 12, 1), conv1(net, x, 4, 12, 1)])), b = relu(net, net.op('Add', [causal(causal(a, 12, 12, 2), 12, 12, 2), a]));
    net.output(net.op('Gemm', [net.op('Gather', [b, net.ints([-1], [])], { axis: 2 }), net.weight([3, 12]), net.weight([3])], { transB: 1 }));
    return { x: [2, 4, 16] };
  } },
  'Conv-TasNet: masks for speakers, global layer norm as exported': { macs: 0.75, frozen: ['it has a single output channel', 'summed by ReduceMean where no weight can be made zero'], build: (net) => {
    const wave = net.input('x', [1, 1, 32]), code = relu(net, net.op('Conv', [wave, net.weight([16, 1, 4])], { strides: [2] }));
    const global = (y: string, channels: number): string => {
      const mean = net.op('ReduceMean', [net.op('ReduceMean', [y], { axes: [1], keepdims: 1 })], { axes: [2], keepdims: 1 }), centred = net.op('Sub', [y, mean]);
      const variance = net.op('ReduceMean', [net.op('ReduceMean', [net.op('Pow', [centred, net.scalar(2)])], { axes: [1], keepdims: 1 })], { axes: [2], keepdims: 1 });
      return net.op('Add', [net.op('Mul', [net.weight([1, channels, 1]), net.op('Div', [centred, net.op('Sqrt', [net.op('Add', [variance, net.scalar(1e-5)])])])]), net.weight([1, channels, 1])]);
    };
    let y = conv1(net, global(code, 16), 16, 12, 1);
    for (const d of [1, 2]) {
      const h = net.op('PRelu', [conv1(net, y, 12, 20, 1), net.weight([1, 1])]);
      y = net.op('Add', [y, conv1(net, net.op('PRelu', [conv1(net, h, 20, 20, 3, d, 20), net.weight([1, 1])]), 20, 12, 1)]);
    }
    const masks = relu(net, net.op('Reshape', [conv1(net, y, 12, 32, 1), net.ints([1, 2, 16, -1])])), masked = net.op('Mul', [net.op('Unsqueeze', [code, net.ints([1])]), masks]);
    net.output(net.op('ConvTranspose', [net.op('Reshape', [masked, net.ints([2, 16, -1])]), net.weight([16, 1, 4])], { strides: [2] }));
    return { x: [1, 1, 32] };
  } },
  'keyword spotting: depthwise separable convolutions on a spectrogram': { macs: 0.4, build: (net) => {
    let y = relu(net, net.op('Conv', [net.op('Unsqueeze', [net.input('x', ['batch', 10, 8]), net.ints([1])]), net.weight([12, 1, 4, 4]), net.weight([12])], { strides: [2, 2], auto_pad: 'SAME_UPPER' }));
    for (let i = 0; i < 2; i++) y = relu(net, net.conv(relu(net, net.conv(y, 12, 12, [3, 3], { groups: 12 })), 12, 12));
    net.output(net.op('Gemm', [net.op('Squeeze', [net.op('ReduceMean', [y], { axes: [2, 3], keepdims: 1 }), net.ints([2, 3])]), net.weight([12, 4])]));
    return { x: [2, 10, 8] };
  } },
  'Whisper-like encoder: strided convolutions, positions, attention': { macs: 0.75, frozen: ['LayerNormalization over the axis'], build: (net) => {
    const x = net.input('x', ['batch', 8, 12]), gelu = (y: string): string => net.op('Mul', [net.op('Mul', [y, net.scalar(0.5)]), net.op('Add', [net.op('Erf', [net.op('Div', [y, net.scalar(Math.SQRT2)])]), net.scalar(1)])]);
    const y = gelu(net.op('Conv', [gelu(conv1(net, x, 8, 14)), net.weight([12, 14, 3]), net.weight([12])], { strides: [2], pads: [1, 1] }));
    const z = net.op('Add', [net.op('Transpose', [y], { perm: [0, 2, 1] }), net.weight([6, 12])]), n = net.layerNorm(z, 12);
    net.output(net.linear(net.op('Add', [z, net.linear(gelu(net.linear(n, 12, 24)), 24, 12)]), 12, 5));
    return { x: [2, 8, 12] };
  } },
  'two bidirectional LSTM layers': { macs: 0.4, build: (net) => {
    const y = recurrent(net, 'LSTM', timeFirst(net, series(net, 6)), 6, 8).all, z = recurrent(net, 'LSTM', y, 16, 8).all;
    net.output(timeFirst(net, net.linear(relu(net, net.linear(z, 16, 12)), 12, 5)));
    return { x: [2, 5, 6] };
  } },
  'GRU over embeddings, last state classified': { macs: 0.45, build: (net) => {
    const ids = net.input('ids', ['batch', 'time'], DataType.INT64), x = net.op('Gather', [net.weight([20, 10]), net.op('Transpose', [ids], { perm: [1, 0] })]);
    const { last } = recurrent(net, 'GRU', recurrent(net, 'GRU', x, 10, 8, { directions: 1 }).all, 8, 12, { directions: 1 });
    net.output(net.op('Gemm', [net.op('Squeeze', [last, net.ints([0])]), net.weight([4, 12]), net.weight([4])], { transB: 1 }));
    return { ids: [2, 5] };
  } },
  'bidirectional GRU whose last states are concatenated by slices': { macs: 0.45, build: (net) => {
    const { last } = recurrent(net, 'GRU', timeFirst(net, series(net, 6)), 6, 8), state = (i: number): string => net.op('Gather', [last, net.ints([i], [])], { axis: 0 });
    net.output(net.linear(net.op('Concat', [state(0), state(1)], { axis: 1 }), 16, 4));
    return { x: [2, 5, 6] };
  } },
  'RNN without initial states': { macs: 0.4, build: (net) => {
    net.output(net.linear(recurrent(net, 'RNN', timeFirst(net, series(net, 6)), 6, 12, { directions: 1, states: false }).all, 12, 4));
    return { x: [2, 5, 6] };
  } },
  'LSTM with its states as inputs and outputs': { macs: 0.9, build: (net) => {
    const x = timeFirst(net, series(net, 6)), h = net.input('h', [1, 'batch', 8]), c = net.input('c', [1, 'batch', 8]);
    const [y = '', hn = '', cn = ''] = net.ops('LSTM', [x, net.weight([1, 32, 6]), net.weight([1, 32, 8]), net.weight([1, 64]), '', h, c], 3, { hidden_size: 8 });
    net.output(net.linear(relu(net, net.linear(net.op('Squeeze', [y, net.ints([1])]), 8, 12)), 12, 4), hn, cn);
    return { x: [2, 5, 6], h: [1, 2, 8], c: [1, 2, 8] };
  } },
  'CRNN: convolutions, columns as time, LSTM, CTC logits': { macs: 0.36, build: (net) => {
    const image = net.input('x', ['batch', 1, 8, 16]);
    let y = relu(net, net.conv(image, 1, 8, [3, 3]));
    y = net.op('MaxPool', [y], { kernel_shape: [2, 2], strides: [2, 2] });
    y = relu(net, net.conv(y, 8, 12, [3, 3]));
    y = net.op('MaxPool', [y], { kernel_shape: [4, 1], strides: [4, 1] });
    const columns = net.op('Transpose', [net.op('Squeeze', [y, net.ints([2])])], { perm: [2, 0, 1] });
    net.output(net.op('LogSoftmax', [net.linear(recurrent(net, 'LSTM', columns, 12, 10).all, 20, 6)], { axis: 2 }));
    return { x: [2, 1, 8, 16] };
  } },
  'CRNN whose columns are channels times height': { macs: 0.4, build: (net) => {
    const y = net.op('MaxPool', [relu(net, net.conv(net.input('x', ['batch', 1, 8, 16]), 1, 12, [3, 3]))], { kernel_shape: [4, 2], strides: [4, 2] });
    const rows = net.op('Reshape', [net.op('Transpose', [y], { perm: [3, 0, 1, 2] }), net.ints([8, -1, 24])]);
    net.output(net.linear(recurrent(net, 'GRU', rows, 24, 10).all, 20, 6));
    return { x: [1, 1, 8, 16] };
  } },
  'Keras LSTM layer: layout by Transpose, last output by Slice': { macs: 0.5, build: (net) => {
    const [y = ''] = net.ops('LSTM', [timeFirst(net, series(net, 6)), net.weight([1, 40, 6]), net.weight([1, 40, 10]), net.weight([1, 80])], 1, { hidden_size: 10 });
    const all = net.op('Transpose', [net.op('Squeeze', [y, net.ints([1])])], { perm: [1, 0, 2] });
    const last = net.op('Squeeze', [net.op('Slice', [all, net.ints([-1]), net.ints([2147483647]), net.ints([1])]), net.ints([1])]);
    net.output(net.op('Softmax', [net.linear(last, 10, 4)], { axis: -1 }));
    return { x: [2, 5, 6] };
  } },
  'seq2seq with Luong attention over an encoder LSTM': { macs: 0.5, build: (net) => {
    const memory = timeFirst(net, recurrent(net, 'LSTM', timeFirst(net, series(net, 6)), 6, 8, { directions: 1 }).all);
    const query = net.input('query', ['batch', 1, 10]), scores = net.op('MatMul', [net.linear(query, 10, 8), net.op('Transpose', [memory], { perm: [0, 2, 1] })]);
    const context = net.op('MatMul', [net.op('Softmax', [scores], { axis: -1 }), memory]);
    net.output(net.linear(net.op('Tanh', [net.linear(net.op('Concat', [context, query], { axis: 2 }), 18, 12)]), 12, 5));
    return { x: [2, 5, 6], query: [2, 1, 10] };
  } },
};
