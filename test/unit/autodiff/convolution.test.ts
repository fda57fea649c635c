import * as tf from '@tensorflow/tfjs';
import { describe, expect, it } from 'vitest';
import { channelBlock } from '../../../src/engine/autodiff/channelBlock.ts';
import { differentiate } from '../../../src/engine/autodiff/differentiate.ts';
import { inFastestForm } from '../../../src/engine/autodiff/convolve.ts';
import { Random } from '../../../src/engine/numerics/random.ts';
import { valueInfo } from '../../../src/engine/onnx/buildModel.ts';
import { GraphBuilder } from '../../../src/engine/onnx/graphBuilder.ts';
import { GraphView } from '../../../src/engine/onnx/graphView.ts';
import { Session, floats } from '../../../src/engine/runtime/session.ts';
import { runShapes } from '../../../src/engine/runtime/shapes.ts';
import { type Inputs, expectClose, makeCase, ourGradients, tfGradients } from './oracle.ts';

const random = new Random(11);
interface Spec { batch: number; channels: number; out: number; size: [number, number]; kernel: [number, number]; strides: [number, number]; dilations: [number, number]; pads: [number, number, number, number]; groups: number }
const spec = (changes: Partial<Spec>): Spec => ({ batch: 2, channels: 3, out: 4, size: [7, 6], kernel: [3, 3], strides: [1, 1], dilations: [1, 1], pads: [1, 1, 1, 1], groups: 1, ...changes });
const attributesOf = ({ kernel, strides, dilations, pads, groups }: Spec): Record<string, number | number[]> => ({ kernel_shape: kernel, strides, dilations, pads, group: groups });

/** A convolution written with TensorFlow.js's padding, gathering and matrix product only, differentiated by it; any stride, dilation and groups. */
function referenceConv({ batch, channels, out, size, kernel, strides, dilations, pads, groups }: Spec): (x: tf.Tensor, w: tf.Tensor, b: tf.Tensor) => tf.Tensor {
  const length = (axis: 0 | 1): number => Math.floor((size[axis] + pads[axis] + pads[axis + 2]! - (kernel[axis] - 1) * dilations[axis] - 1) / strides[axis]) + 1;
  const [oh, ow] = [length(0), length(1)], inner = channels / groups, outer = out / groups;
  return (x, w, b) => {
    const wide = x.pad([[0, 0], [0, 0], [pads[0], pads[2]], [pads[1], pads[3]]]);
    const pieces = Array.from({ length: groups }, (_, group) => {
      let sum: tf.Tensor = tf.zeros([batch, outer, oh * ow]);
      for (let i = 0; i < kernel[0]; i++) for (let j = 0; j < kernel[1]; j++) {
        const rows = Array.from({ length: oh }, (_unused, o) => o * strides[0] + i * dilations[0]), columns = Array.from({ length: ow }, (_unused, o) => o * strides[1] + j * dilations[1]);
        const seen = wide.slice([0, group * inner, 0, 0], [batch, inner, -1, -1]).gather(tf.tensor1d(rows, 'int32'), 2).gather(tf.tensor1d(columns, 'int32'), 3).reshape([batch, inner, oh * ow]);
        const weight = w.slice([group * outer, 0, i, j], [outer, inner, 1, 1]).reshape([1, outer, inner]).tile([batch, 1, 1]);
        sum = sum.add(tf.matMul(weight, seen as tf.Tensor3D));
      }
      return sum.reshape([batch, outer, oh, ow]);
    });
    return tf.concat(pieces, 1).add(b.reshape([1, out, 1, 1]));
  };
}
const inputsOf = ({ batch, channels, out, size, kernel, groups }: Spec): Inputs => ({ x: { dims: [batch, channels, ...size] }, w: { dims: [out, channels / groups, ...kernel] }, b: { dims: [out] } });

const cases: [string, Spec][] = [
  ['a plain 3x3 kernel', spec({})], ['no padding', spec({ pads: [0, 0, 0, 0] })], ['1x1', spec({ kernel: [1, 1], pads: [0, 0, 0, 0] })],
  ['stride 2', spec({ strides: [2, 2] })], ['stride 2 that stops short of the border', spec({ size: [8, 8], strides: [2, 2], pads: [0, 0, 0, 0] })],
  ['1x1, stride 2', spec({ size: [8, 7], kernel: [1, 1], strides: [2, 2], pads: [0, 0, 0, 0] })], ['stride 3 by 1', spec({ strides: [3, 1] })],
  ['dilation 2', spec({ dilations: [2, 2], pads: [2, 2, 2, 2] })], ['dilation and stride', spec({ size: [9, 9], dilations: [2, 1], strides: [2, 2], pads: [1, 0, 2, 1] })],
  ['a 5x2 kernel with uneven padding', spec({ kernel: [5, 2], pads: [2, 0, 1, 1] })], ['padding beyond the kernel', spec({ kernel: [2, 2], pads: [2, 2, 2, 2] })],
  ['two groups', spec({ channels: 4, out: 6, groups: 2 })], ['two groups, stride 2', spec({ channels: 4, out: 6, groups: 2, strides: [2, 2] })],
  ['depthwise', spec({ channels: 5, out: 5, groups: 5 })], ['depthwise, stride 2', spec({ channels: 5, out: 5, groups: 5, strides: [2, 2] })],
  ['depthwise with a multiplier', spec({ channels: 3, out: 6, groups: 3 })],
  ['a very small image', spec({ size: [3, 3] })], ['a very small image, 1x1, stride 2', spec({ size: [4, 4], kernel: [1, 1], strides: [2, 2], pads: [0, 0, 0, 0] })],
  ['a large image, few channels', spec({ size: [17, 18] })], ['a large image, many channels', spec({ channels: 17, out: 5, size: [16, 17] })],
  ['a large image, 1x1', spec({ size: [16, 17], kernel: [1, 1], pads: [0, 0, 0, 0] })],
];

describe('gradients of Conv', () => {
  it.each(cases)('%s agrees with TensorFlow.js', async (_title, s) => {
    const graph = await makeCase(random, inputsOf(s), (build, names) => build.op('Conv', names, attributesOf(s)));
    expectClose(await ourGradients(graph), await tfGradients(graph, referenceConv(s) as never));
  });

  const wide: [string, Spec][] = [['sixteen channels', spec({ channels: 16, out: 16 })], ['channels that fill no block', spec({ channels: 20, out: 28, size: [5, 6] })], ['many channels, stride and dilation', spec({ channels: 12, out: 16, size: [9, 9], strides: [2, 1], dilations: [1, 2], pads: [1, 2, 0, 1] })], ['many channels, very small images', spec({ channels: 16, out: 24, size: [2, 3], kernel: [1, 1], pads: [0, 0, 0, 0] })],
    ['depthwise in blocks', spec({ channels: 16, out: 16, groups: 16 })], ['depthwise on larger images', spec({ channels: 20, out: 20, groups: 20, size: [9, 9] })], ['depthwise on larger images, stride 2', spec({ channels: 12, out: 12, groups: 12, size: [12, 13], strides: [2, 2] })],
    ['depthwise on larger images, strides, dilation and uneven padding', spec({ channels: 16, out: 16, groups: 16, size: [13, 11], strides: [1, 2], dilations: [2, 1], pads: [2, 0, 1, 1] })], ['depthwise, windows that stop short of the border', spec({ channels: 16, out: 16, groups: 16, size: [8, 9], strides: [2, 3], pads: [0, 0, 0, 0] })],
    ['depthwise, 1x1, stride 2', spec({ channels: 12, out: 12, groups: 12, size: [6, 8], kernel: [1, 1], strides: [2, 2], pads: [0, 0, 0, 0] })]];
  it.each([...cases, ...wide])('%s, sixteen images, in blocks where this machine has them, agrees with TensorFlow.js', async (_title, changes) => {
    const s = { ...changes, batch: 16 }, graph = await makeCase(random, inputsOf(s), (build, names) => build.op('Conv', names, attributesOf(s)));
    expectClose(await ourGradients(graph, undefined, await channelBlock()), await tfGradients(graph, referenceConv(s) as never));
  });

  it.each([...cases, ...wide])('%s gives the same in its fastest form', async (_title, s) => {
    const { model, inputs, values } = await makeCase(random, inputsOf(s), (build, names) => build.op('Conv', names, attributesOf(s))), build = new GraphBuilder(model);
    const { shapes } = await runShapes(model, new GraphView(model.graph), Object.fromEntries(Object.entries(inputs).map(([name, { dims }]) => [name, dims])));
    inFastestForm(build, (value) => shapes.get(value), await channelBlock());
    const outputOf = async (source: typeof model): Promise<Float32Array> => {
      const session = await Session.create({ ...source, graph: { ...source.graph, output: [valueInfo('Conv', shapes.get('Conv')!)] } });
      try { return (await session.run(Object.fromEntries(Object.entries(inputs).map(([name, { dims }]) => [name, floats(values[name]!, dims)]))))['Conv']!.data as Float32Array; } finally { await session.release(); }
    };
    expectClose({ output: await outputOf(build.model()) }, { output: await outputOf(model) });
  });

  it("uses onnxruntime's blocked layout only where it is asked to and the images fill blocks", async () => {
    const domains = async (batch: number, block: number): Promise<string[]> => {
      const { model } = await makeCase(random, inputsOf(spec({ batch })), (build, names) => build.op('Conv', names, attributesOf(spec({ batch }))));
      return (await differentiate(model, { loss: 'loss', wrt: ['w'], block })).opsetImport.map(({ domain }) => domain);
    };
    expect(await domains(16, 16)).toEqual(['', 'com.microsoft.nchwc']);
    expect(await domains(16, 0)).toEqual(['']);
    expect(await domains(12, 8)).toEqual(['']);
  });

  it('lays a value out in blocks once, for the convolution, its input gradient and its weight gradient', async () => {
    const s = spec({ batch: 2, channels: 16, out: 16, groups: 16 }), { model, inputs } = await makeCase(random, inputsOf(s), (build, names) => build.op('Conv', names, attributesOf(s)));
    const dims = Object.fromEntries(Object.entries(inputs).map(([name, input]) => [name, input.dims])), build = new GraphBuilder(await differentiate(model, { loss: 'loss', wrt: ['x', 'w'], inputShapes: dims, block: 16 }));
    const { shapes } = await runShapes(model, new GraphView(model.graph), dims), laidOut = (): string[] => build.nodes.filter(({ opType }) => opType === 'ReorderInput').map(({ input }) => input[0]!);
    inFastestForm(build, (value) => shapes.get(value), 16);
    expect(laidOut()).toContain('x');
    expect(new Set(laidOut()).size).toBe(laidOut().length);
    expect(laidOut()).toHaveLength(4); // input, output gradient, and the kernel twice: turned round for the gradient
  });

  it("agrees with the gradient of TensorFlow.js's own conv2d and depthwiseConv2d", async () => {
    const s = spec({ size: [9, 8], strides: [2, 2] });
    const dense = await makeCase(random, inputsOf(s), (build, names) => build.op('Conv', names, attributesOf(s)));
    expectClose(await ourGradients(dense), await tfGradients(dense, (x, w, b) => tf.conv2d(x!.transpose([0, 2, 3, 1]) as tf.Tensor4D, w!.transpose([2, 3, 1, 0]) as tf.Tensor4D, 2, [[0, 0], [1, 1], [1, 1], [0, 0]]).transpose([0, 3, 1, 2]).add(b!.reshape([1, s.out, 1, 1]))));
    const d = spec({ channels: 4, out: 4, groups: 4, pads: [0, 0, 0, 0] });
    const depthwise = await makeCase(random, inputsOf(d), (build, names) => build.op('Conv', names, attributesOf(d)));
    expectClose(await ourGradients(depthwise), await tfGradients(depthwise, (x, w, b) => tf.depthwiseConv2d(x!.transpose([0, 2, 3, 1]) as tf.Tensor4D, w!.transpose([2, 3, 0, 1]) as tf.Tensor4D, 1, 'valid').transpose([0, 3, 1, 2]).add(b!.reshape([1, 4, 1, 1]))));
  });

  it.each(Array.from({ length: 12 }, (_, i) => i))('random attributes, draw %i, agree with TensorFlow.js', async () => {
    const pick = (low: number, high: number): number => low + random.integer(high - low + 1), groups = pick(1, 3);
    const s = spec({ batch: pick(1, 3), channels: groups * pick(1, 3), out: groups * pick(1, 3), groups, size: [pick(6, 11), pick(6, 11)], kernel: [pick(1, 3), pick(1, 3)], strides: [pick(1, 3), pick(1, 3)], dilations: [pick(1, 2), pick(1, 2)], pads: [pick(0, 2), pick(0, 2), pick(0, 2), pick(0, 2)] });
    const graph = await makeCase(random, inputsOf(s), (build, names) => build.op('Conv', names, attributesOf(s)));
    expectClose(await ourGradients(graph), await tfGradients(graph, referenceConv(s) as never));
  });

  it.each(['SAME_UPPER', 'SAME_LOWER', 'VALID'])('auto_pad %s pads as the operator does', async (autoPad) => {
    const s = spec({ size: [8, 8], strides: [2, 2], kernel: [3, 3], pads: autoPad === 'VALID' ? [0, 0, 0, 0] : autoPad === 'SAME_UPPER' ? [0, 0, 1, 1] : [1, 1, 0, 0] });
    const { pads, ...attributes } = attributesOf(s);
    expect(pads).toBeDefined();
    const graph = await makeCase(random, inputsOf(s), (build, names) => build.op('Conv', names, { ...attributes, auto_pad: autoPad }));
    expectClose(await ourGradients(graph), await tfGradients(graph, referenceConv(s) as never));
  });

  it('convolutions over one and three axes agree with those over two', async () => {
    const line = await makeCase(random, { x: { dims: [2, 3, 9] }, w: { dims: [4, 3, 3] }, b: { dims: [4] } }, (build, names) => build.op('Conv', names, { pads: [1, 1], strides: [2] }));
    const flat = spec({ size: [1, 9], kernel: [1, 3], pads: [0, 1, 0, 1], strides: [1, 2] });
    expectClose(await ourGradients(line), await tfGradients(line, (x, w, b) => referenceConv(flat)(x!.reshape([2, 3, 1, 9]), w!.reshape([4, 3, 1, 3]), b!).reshape([2, 4, 5])));
    const volume = await makeCase(random, { x: { dims: [2, 3, 2, 7, 6] }, w: { dims: [4, 3, 1, 3, 3] }, b: { dims: [4] } }, (build, names) => build.op('Conv', names, { pads: [0, 1, 1, 0, 1, 1] }));
    expectClose(await ourGradients(volume), await tfGradients(volume, (x, w, b) => tf.stack([0, 1].map((z) => referenceConv(spec({}))(x!.slice([0, 0, z, 0, 0], [2, 3, 1, 7, 6]).reshape([2, 3, 7, 6]), w!.reshape([4, 3, 3, 3]), b!)), 2)));
  });
});

describe('gradients of ConvTranspose', () => {
  it.each([['stride 1', 1, 1, 0], ['stride 2', 2, 1, 0], ['stride 2 with output padding', 2, 1, 1], ['stride 2 without padding', 2, 0, 0]])('%s agrees with TensorFlow.js', async (_title, stride, pad, outputPadding) => {
    const size = 5, length = (size - 1) * stride + 3 - 2 * pad + outputPadding;
    const graph = await makeCase(random, { x: { dims: [2, 3, size, size] }, w: { dims: [3, 4, 3, 3] }, b: { dims: [4] } },
      (build, names) => build.op('ConvTranspose', names, { pads: [pad, pad, pad, pad], strides: [stride, stride], output_padding: [outputPadding, outputPadding] }));
    const padding: [[0, 0], [number, number], [number, number], [0, 0]] = [[0, 0], [pad, Math.max(0, pad - outputPadding)], [pad, Math.max(0, pad - outputPadding)], [0, 0]];
    expectClose(await ourGradients(graph), await tfGradients(graph, (x, w, b) => tf.conv2dTranspose(x!.transpose([0, 2, 3, 1]) as tf.Tensor4D, w!.transpose([2, 3, 1, 0]) as tf.Tensor4D, [2, length, length, 4], stride, padding as never).transpose([0, 3, 1, 2]).add(b!.reshape([1, 4, 1, 1]))));
  });

  it('two groups agree with two convolutions', async () => {
    const graph = await makeCase(random, { x: { dims: [2, 4, 5, 5] }, w: { dims: [4, 3, 3, 3] } }, (build, names) => build.op('ConvTranspose', names, { pads: [1, 1, 1, 1], strides: [2, 2], group: 2 }));
    const half = (x: tf.Tensor, w: tf.Tensor, i: number): tf.Tensor => tf.conv2dTranspose(x.slice([0, 2 * i, 0, 0], [2, 2, 5, 5]).transpose([0, 2, 3, 1]) as tf.Tensor4D, w.slice([2 * i, 0, 0, 0], [2, 3, 3, 3]).transpose([2, 3, 1, 0]) as tf.Tensor4D, [2, 9, 9, 3], 2, [[0, 0], [1, 1], [1, 1], [0, 0]]).transpose([0, 3, 1, 2]);
    expectClose(await ourGradients(graph), await tfGradients(graph, (x, w) => tf.concat([half(x!, w!, 0), half(x!, w!, 1)], 1)));
  });
});
