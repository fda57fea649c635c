import * as tf from '@tensorflow/tfjs';
import { describe, expect, it } from 'vitest';
import { Random } from '../../../src/engine/numerics/random.ts';
import { expectClose, finiteDifferences, makeCase, ourGradients, tfGradients } from './oracle.ts';

const random = new Random(31);
const standardised = (x: tf.Tensor, axes: number[], epsilon: number): tf.Tensor => {
  const { mean, variance } = tf.moments(x, axes, true);
  return x.sub(mean).div(variance.add(epsilon).sqrt());
};

describe('gradients of normalisation', () => {
  it('BatchNormalization with fixed statistics agrees with finite differences', async () => {
    const graph = await makeCase(random, { x: { dims: [2, 3, 4, 2] }, scale: { dims: [3] }, bias: { dims: [3] } }, (build, [x, scale, bias]) =>
      build.op('BatchNormalization', [x!, scale!, bias!, build.floats([3], Float32Array.of(0.1, -0.4, 0.2)), build.floats([3], Float32Array.of(0.5, 1.2, 2))], { epsilon: { float: 1e-3 } }));
    expectClose(await ourGradients(graph), await finiteDifferences(graph));
    expectClose(await ourGradients(graph), await tfGradients(graph, (x, scale, bias) => {
      const column = (values: number[] | tf.Tensor): tf.Tensor => (Array.isArray(values) ? tf.tensor1d(values) : values).reshape([1, 3, 1, 1]);
      return x!.sub(column([0.1, -0.4, 0.2])).div(column([0.5, 1.2, 2]).add(1e-3).sqrt()).mul(column(scale!)).add(column(bias!));
    }));
  });

  it('BatchNormalization in training mode is refused', async () => {
    const graph = await makeCase(random, { x: { dims: [4, 3] } }, (build, [x]) => {
      const constant = (): string => build.floats([3], Float32Array.of(1, 1, 1));
      return build.ops('BatchNormalization', [x!, constant(), constant(), constant(), constant()], 3, { training_mode: 1 })[0]!;
    });
    await expect(ourGradients(graph)).rejects.toThrow(/BatchNormalization.*training mode/);
  });

  it.each([[-1, [2, 3, 5]], [1, [2, 3, 4]], [2, [2, 2, 3, 2]]])('LayerNormalization from axis %i of shape %j agrees with TensorFlow.js', async (axis, dims) => {
    const inner = dims.slice(axis), axes = dims.map((_, i) => i).slice(axis);
    const graph = await makeCase(random, { x: { dims }, scale: { dims: inner }, bias: { dims: inner } }, (build, names) => build.op('LayerNormalization', names, { axis, epsilon: { float: 1e-3 } }));
    expectClose(await ourGradients(graph), await tfGradients(graph, (x, scale, bias) => standardised(x!, axes, 1e-3).mul(scale!).add(bias!)));
  });

  it.each([['RMSNormalization', -1, [2, 3, 5], 23], ['RMSNormalization', 1, [2, 3, 4], 23], ['SimplifiedLayerNormalization', -1, [2, 3, 5], 17]])('%s from axis %i of shape %j agrees with TensorFlow.js', async (opType, axis, dims, opset) => {
    const inner = dims.slice(axis), axes = dims.map((_, i) => i).slice(axis);
    const graph = await makeCase(random, { x: { dims }, scale: { dims: inner } }, (build, names) => build.op(opType, names, { axis, epsilon: { float: 1e-3 } }), opset);
    expectClose(await ourGradients(graph), await tfGradients(graph, (x, scale) => x!.div(x!.square().mean(axes, true).add(1e-3).sqrt()).mul(scale!)));
  });

  it('InstanceNormalization agrees with TensorFlow.js', async () => {
    const graph = await makeCase(random, { x: { dims: [2, 3, 4, 5] }, scale: { dims: [3] }, bias: { dims: [3] } }, (build, names) => build.op('InstanceNormalization', names));
    expectClose(await ourGradients(graph), await tfGradients(graph, (x, scale, bias) => standardised(x!, [2, 3], 1e-5).mul(scale!.reshape([1, 3, 1, 1])).add(bias!.reshape([1, 3, 1, 1]))));
  });

  it.each([['Softmax', -1], ['Softmax', 1], ['LogSoftmax', -1], ['LogSoftmax', 0]])('%s along axis %i agrees with TensorFlow.js', async (opType, axis) => {
    const graph = await makeCase(random, { x: { dims: [3, 4, 5] } }, (build, [x]) => build.op(opType, [x!], { axis }));
    const last = [[1, 2, 0], [0, 2, 1], [0, 1, 2]][(axis + 3) % 3]!, back = last.map((_, i) => last.indexOf(i));
    expectClose(await ourGradients(graph), await tfGradients(graph, (x) => (opType === 'Softmax' ? tf.softmax : tf.logSoftmax)(x!.transpose(last)).transpose(back)));
    expectClose(await ourGradients(graph), await finiteDifferences(graph));
  });

  it('LpNormalization agrees with TensorFlow.js', async () => {
    const graph = await makeCase(random, { x: { dims: [3, 4] } }, (build, [x]) => build.op('LpNormalization', [x!], { axis: 1 }));
    expectClose(await ourGradients(graph), await tfGradients(graph, (x) => x!.div(x!.square().sum(1, true).sqrt())));
    const zeros = await makeCase(random, { x: { dims: [2, 4] } }, (build, [x]) => build.op('LpNormalization', [build.mul(x!, build.floats([2, 1], Float32Array.of(0, 1)))], { axis: 1 }));
    const lower = await tfGradients(zeros, (x) => tf.concat([tf.zeros([1, 4]), x!.slice([1, 0]).div(x!.slice([1, 0]).square().sum(1, true).sqrt())]));
    expectClose(await ourGradients(zeros), lower);
  });
});
