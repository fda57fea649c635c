import { describe, it } from 'vitest';
import * as tf from '@tensorflow/tfjs';
import { Random } from '../../../src/engine/numerics/random.ts';
import { expectClose, finiteDifferences, makeCase, ourGradients, tfGradients } from './oracle.ts';

const random = new Random(51);
const operators = ['ReduceMean', 'ReduceMax', 'ReduceMin', 'ReduceL1', 'ReduceL2', 'ReduceSumSquare', 'ReduceLogSumExp', 'ReduceLogSum', 'ReduceProd'];

describe('gradients of reductions', () => {
  it.each(operators.flatMap((opType) => [[opType, [1], 1], [opType, [0, -1], 0], [opType, undefined, 0]] as const))('%s over axes %j, keepdims %i, agrees with finite differences', async (opType, axes, keepdims) => {
    const graph = await makeCase(random, { x: { dims: [3, 4, 2], low: 0.3, high: 2 } }, (build, [x]) => build.op(opType, [x!], { ...(axes ? { axes } : {}), keepdims }));
    const wanted = await finiteDifferences(graph).catch(() => undefined); // no double kernel: TensorFlow.js below
    expectClose(await ourGradients(graph), wanted ?? await tfGradients(graph, (x) => {
      const a = axes ? [...axes] : undefined, keep = keepdims === 1;
      switch (opType) {
        case 'ReduceLogSumExp': return tf.logSumExp(x!, a, keep);
        case 'ReduceLogSum': return x!.sum(a, keep).log();
        case 'ReduceL1': return x!.abs().sum(a, keep);
        case 'ReduceL2': return x!.square().sum(a, keep).sqrt();
        case 'ReduceSumSquare': return x!.square().sum(a, keep);
        default: throw new Error(`no reference for ${opType}`);
      }
    }));
  });

  it('ReduceSum and ReduceMean agree with TensorFlow.js', async () => {
    const sum = await makeCase(random, { x: { dims: [3, 4, 2] } }, (build, [x]) => build.op('ReduceSum', [x!, build.ints([-1, 0])], { keepdims: 0 }));
    expectClose(await ourGradients(sum), await tfGradients(sum, (x) => x!.sum([0, 2])));
    const mean = await makeCase(random, { x: { dims: [3, 4, 2, 2] } }, (build, [x]) => build.op('ReduceMean', [x!], { axes: [2, 3], keepdims: 0 }));
    expectClose(await ourGradients(mean), await tfGradients(mean, (x) => x!.mean([2, 3])));
  });

  it.each([17, 18])('ReduceProd beside one zero and beside two agrees with finite differences (opset %i)', async (opset) => {
    const graph = await makeCase(random, { x: { dims: [3, 3], low: 0.5, high: 0.5 } }, (build, [x]) => {
      const factors = build.sub(x!, build.floats([3, 3], Float32Array.of(0.5, 0.5, 2, 0.5, -1, 3, 1, 2, 3)));
      return build.op('ReduceProd', opset < 18 ? [factors] : [factors, build.ints([1])], opset < 18 ? { axes: [1] } : {});
    }, opset);
    expectClose(await ourGradients(graph), await finiteDifferences(graph));
  });

  it.each(['ReduceL2', 'ReduceLogSum'])('%s of zeros gives no gradient where nothing behind it lets one through', async (opType) => {
    const graph = await makeCase(random, { x: { dims: [2, 3], low: 0.5, high: 1 } }, (build, [x]) => {
      const rows = build.mul(x!, build.floats([2, 1], Float32Array.of(0, 1)));
      return build.div(rows, build.op('Max', [build.op(opType, [rows], { axes: [1] }), 0.01])); // opType ReduceL2: PyTorch's normalize
    });
    const { x } = await ourGradients(graph), below = graph.values['x']!.subarray(3), norm = opType === 'ReduceL2' ? Math.hypot(...below) : Math.max(0.01, Math.log(below[0]! + below[1]! + below[2]!));
    const slope = (j: number): number => (opType === 'ReduceL2' ? below[j]! / norm : norm > 0.01 ? 1 / Math.exp(norm) : 0), through = below.reduce((sum, value, i) => sum + graph.seed[3 + i]! * value, 0) / norm ** 2;
    expectClose({ x: x! }, { x: Float32Array.of(0, 0, 0, ...[0, 1, 2].map((j) => graph.seed[3 + j]! / norm - through * slope(j))) });
  });

  it('ReduceSum without axes and with noop_with_empty_axes is the identity', async () => {
    const graph = await makeCase(random, { x: { dims: [3, 4] } }, (build, [x]) => build.op('ReduceSum', [x!, build.ints([])], { noop_with_empty_axes: 1 }));
    expectClose(await ourGradients(graph), { x: graph.seed });
  });
});
