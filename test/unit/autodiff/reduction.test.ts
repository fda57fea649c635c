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

  it('ReduceSum without axes and with noop_with_empty_axes is the identity', async () => {
    const graph = await makeCase(random, { x: { dims: [3, 4] } }, (build, [x]) => build.op('ReduceSum', [x!, build.ints([])], { noop_with_empty_axes: 1 }));
    expectClose(await ourGradients(graph), { x: graph.seed });
  });
});
