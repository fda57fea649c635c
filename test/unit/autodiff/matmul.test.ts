import { describe, it } from 'vitest';
import * as tf from '@tensorflow/tfjs';
import { Random } from '../../../src/engine/numerics/random.ts';
import { expectClose, finiteDifferences, makeCase, ourGradients, tfGradients } from './oracle.ts';

const random = new Random(41);

describe('gradients of matrix products', () => {
  const bits = [0, 1].flatMap((a) => [0, 1].map((b) => [a, b] as const));
  it.each(bits)('Gemm with transA %i and transB %i agrees with finite differences', async (transA, transB) => {
    for (const c of [[3, 5], [5], [3, 1], [1]]) {
      const graph = await makeCase(random, { a: { dims: transA ? [4, 3] : [3, 4] }, b: { dims: transB ? [5, 4] : [4, 5] }, c: { dims: c } },
        (build, names) => build.op('Gemm', names, { transA, transB, alpha: { float: 0.7 }, beta: { float: -1.3 } }));
      expectClose(await ourGradients(graph), await finiteDifferences(graph));
    }
  });

  const shapes: [number[], number[]][] = [[[3, 4], [4, 5]], [[2, 3, 4], [4, 5]], [[2, 3, 4], [2, 4, 5]], [[2, 1, 3, 4], [3, 4, 2]], [[4], [4, 3]], [[3, 4], [4]], [[4], [4]], [[2, 3, 4], [4]], [[4], [2, 4, 3]], [[3, 4], [2, 4, 5]]];
  it.each(shapes)('MatMul of %j and %j agrees with finite differences', async (a, b) => {
    const graph = await makeCase(random, { a: { dims: a }, b: { dims: b } }, (build, [x, y]) => build.op('MatMul', [x!, y!]));
    expectClose(await ourGradients(graph), await finiteDifferences(graph));
  });

  it.each([['bhwij,bhwjk->bhwik', [2, 1, 2, 3, 4], [2, 1, 2, 4, 2]], ['bij,jk->kb', [2, 3, 4], [4, 5]], ['ij,ij->', [2, 3], [2, 3]], ['ijk,j->i', [2, 3, 4], [3]]] as [string, number[], number[]][])(
    'Einsum %s agrees with finite differences', async (equation, a, b) => {
      const graph = await makeCase(random, { a: { dims: a }, b: { dims: b } }, (build, names) => build.op('Einsum', names, { equation }));
      expectClose(await ourGradients(graph), await finiteDifferences(graph));
    });

  it('MatMul agrees with TensorFlow.js', async () => {
    const graph = await makeCase(random, { a: { dims: [2, 3, 4] }, b: { dims: [2, 4, 5] } }, (build, [x, y]) => build.op('MatMul', [x!, y!]));
    expectClose(await ourGradients(graph), await tfGradients(graph, (a, b) => tf.matMul(a as tf.Tensor3D, b as tf.Tensor3D)));
  });
});
