import * as tf from '@tensorflow/tfjs';
import { describe, expect, it } from 'vitest';
import { Random } from '../../../src/engine/numerics/random.ts';
import type { AttributeValue } from '../../../src/engine/onnx/attributes.ts';
import { Session, floats } from '../../../src/engine/runtime/session.ts';
import { type Case, type Values, expectClose, finiteDifferences, makeCase, ourGradients, sizeOf, tfGradients } from './oracle.ts';

const random = new Random(21);
const nhwc = (x: tf.Tensor): tf.Tensor4D => x.transpose([0, 2, 3, 1]) as tf.Tensor4D;
const nchw = (x: tf.Tensor): tf.Tensor => x.transpose([0, 3, 1, 2]);

/** The gradient of a loss that is linear in x, for operators without a double kernel: element by element, what the loss is where that one is 1 and all others are 0. */
async function linearGradient({ model, inputs: { x } }: Case): Promise<Values> {
  const session = await Session.create(model), gradient = new Float32Array(sizeOf(x!.dims));
  for (let i = 0; i < gradient.length; i++) gradient[i] = Number((await session.run({ x: floats(Float32Array.from(gradient, (_, j) => Number(i === j)), x!.dims) }, ['loss']))['loss']!.data[0]);
  await session.release();
  return { x: gradient };
}

describe('gradients of pooling', () => {
  const windows: [title: string, kernel: number, stride: number, pad: number][] = [['2x2, stride 2', 2, 2, 0], ['3x3, stride 2, padded', 3, 2, 1], ['3x3, stride 1, padded', 3, 1, 1], ['3x3, stride 3', 3, 3, 0]];
  it.each(windows)('MaxPool %s agrees with TensorFlow.js', async (_title, kernel, stride, pad) => {
    const graph = await makeCase(random, { x: { dims: [2, 3, 8, 9] } }, (build, [x]) => build.op('MaxPool', [x!], { kernel_shape: [kernel, kernel], strides: [stride, stride], pads: [pad, pad, pad, pad] }));
    expectClose(await ourGradients(graph), await tfGradients(graph, (x) => nchw(tf.maxPool(nhwc(x!), kernel, stride, pad))));
  });

  it('MaxPool gives the whole gradient to one of several equal elements', async () => {
    const graph = await makeCase(random, { x: { dims: [1, 1, 4, 4] } }, (build, [x]) => build.op('MaxPool', [build.mul(x!, 0)], { kernel_shape: [2, 2], strides: [2, 2] }));
    expect((await ourGradients(graph))['x']!.every((value) => value === 0)).toBe(true); // 0 * x: equal elements, and no error
    const relu = await makeCase(random, { x: { dims: [1, 2, 6, 6], low: 0.5, high: 1 } }, (build, [x]) => build.op('MaxPool', [build.op('Min', [x!, 0.4])], { kernel_shape: [2, 2], strides: [2, 2] }));
    expect((await ourGradients(relu))['x']!.every((value) => value === 0)).toBe(true);
  });

  it('MaxPool with dilation and ceil_mode agrees with finite differences', async () => {
    const graph = await makeCase(random, { x: { dims: [1, 2, 8, 7] } }, (build, [x]) => build.op('MaxPool', [x!], { kernel_shape: [2, 3], strides: [2, 2], dilations: [2, 1], ceil_mode: 1 }));
    expectClose(await ourGradients(graph), await finiteDifferences(graph));
  });

  it.each([['counting padding', 1], ['not counting padding', 0]])('AveragePool %s agrees with a TensorFlow.js convolution', async (_title, includePad) => {
    const graph = await makeCase(random, { x: { dims: [2, 3, 8, 9] } }, (build, [x]) => build.op('AveragePool', [x!], { kernel_shape: [3, 2], strides: [2, 1], pads: [1, 0, 1, 1], count_include_pad: includePad }));
    const kernel = tf.eye(3).reshape([1, 1, 3, 3]).tile([3, 2, 1, 1]) as tf.Tensor4D, pads: [[0, 0], [number, number], [number, number], [0, 0]] = [[0, 0], [1, 1], [0, 1], [0, 0]];
    const sums = (x: tf.Tensor): tf.Tensor => nchw(tf.conv2d(nhwc(x), kernel, [2, 1], pads));
    expectClose(await ourGradients(graph), await tfGradients(graph, (x) => sums(x!).div(includePad ? tf.scalar(6) : sums(tf.onesLike(x!)))));
  });

  it('AveragePool with ceil_mode and GlobalAveragePool agree with TensorFlow.js', async () => { // not with its avgPool, whose gradient at cut windows is wrong
    const ceil = await makeCase(random, { x: { dims: [1, 2, 5, 5] } }, (build, [x]) => build.op('AveragePool', [x!], { kernel_shape: [2, 2], strides: [2, 2], ceil_mode: 1 }));
    const kernel = tf.eye(2).reshape([1, 1, 2, 2]).tile([2, 2, 1, 1]) as tf.Tensor4D, sums = (x: tf.Tensor): tf.Tensor => nchw(tf.conv2d(nhwc(x), kernel, 2, [[0, 0], [0, 1], [0, 1], [0, 0]]));
    expectClose(await ourGradients(ceil), await tfGradients(ceil, (x) => sums(x!).div(sums(tf.onesLike(x!)))));
    const global = await makeCase(random, { x: { dims: [2, 3, 4, 5] } }, (build, [x]) => build.op('GlobalAveragePool', [x!]));
    expectClose(await ourGradients(global), await tfGradients(global, (x) => x!.mean([2, 3], true)));
  });

  it.each([17, 19])('AveragePool that counts padding does not count what ceil_mode adds (opset %i)', async (opset) => {
    const windows: Record<string, AttributeValue>[] = [{}, { pads: [1, 1, 1, 1] }, { pads: [0, 1, 1, 0], strides: [2, 3] }, { auto_pad: 'VALID', ceil_mode: 0 }, { auto_pad: 'SAME_UPPER', ceil_mode: 0 }];
    for (const more of windows) {
      const graph = await makeCase(random, { x: { dims: [1, 2, 6, 7] } }, (build, [x]) => build.op('AveragePool', [x!], { kernel_shape: [3, 3], strides: [2, 2], ceil_mode: 1, count_include_pad: 1, ...more }), opset);
      expectClose(await ourGradients(graph), await linearGradient(graph));
    }
  });

  it('GlobalMaxPool agrees with TensorFlow.js', async () => {
    const graph = await makeCase(random, { x: { dims: [2, 3, 4, 5] } }, (build, [x]) => build.op('GlobalMaxPool', [x!]));
    expectClose(await ourGradients(graph), await tfGradients(graph, (x) => x!.max([2, 3], true)));
  });
});
