import { create } from '@bufbuild/protobuf';
import * as tf from '@tensorflow/tfjs';
import { TensorProtoSchema } from 'onnx-buf';
import { describe, expect, it } from 'vitest';
import { Random } from '../../../src/engine/numerics/random.ts';
import type { AttributeValue } from '../../../src/engine/onnx/attributes.ts';
import type { GraphBuilder } from '../../../src/engine/onnx/graphBuilder.ts';
import { DataType } from '../../../src/engine/onnx/tensor.ts';
import { type Case, type InputSpec, type Inputs, expectClose, finiteDifferences, makeCase, ourGradients, tfGradients } from './oracle.ts';

const random = new Random(7);

/** Operators that onnxruntime also runs in double precision, so finite differences of the very graph are the reference. */
const unary: readonly [opType: string, input?: Partial<InputSpec>, attributes?: Record<string, AttributeValue>, opset?: number][] = [
  ['Neg'], ['Abs'], ['Reciprocal', { low: 0.3, high: 2 }], ['Sqrt', { low: 0.2, high: 2 }], ['Exp'], ['Log', { low: 0.2, high: 3 }],
  ['Sin'], ['Cos'], ['Tanh'], ['Sigmoid'], ['Relu'], ['Identity'], ['Dropout'],
];

describe('gradients of element-wise operators', () => {
  it.each(unary)('%s agrees with finite differences in double precision', async (opType, input, attributes, opset) => {
    const graph = await makeCase(random, { x: { dims: [3, 1 + random.integer(4), 5], ...input } }, (build, [x]) => build.op(opType, [x!], attributes), opset);
    expectClose(await ourGradients(graph), await finiteDifferences(graph));
  });

  /** Operators without a double kernel: the reference is the central difference of the operator's definition, in double precision. */
  const erf = (x: number): number => { let sum = x, term = x; for (let n = 1; n < 60; n++) { term *= -x * x / n; sum += term / (2 * n + 1); } return 2 / Math.sqrt(Math.PI) * sum; };
  const definitions: readonly [opType: string, attributes: Record<string, AttributeValue>, f: (x: number) => number, opset?: number][] = [
    ['Erf', {}, erf], ['Softplus', {}, (x) => Math.log1p(Math.exp(x))], ['Softsign', {}, (x) => x / (1 + Math.abs(x))], ['Atan', {}, Math.atan],
    ['LeakyRelu', { alpha: { float: 0.2 } }, (x) => (x > 0 ? x : 0.2 * x)], ['Elu', { alpha: { float: 0.7 } }, (x) => (x > 0 ? x : 0.7 * Math.expm1(x))],
    ['Celu', { alpha: { float: 0.6 } }, (x) => Math.max(0, x) + Math.min(0, 0.6 * Math.expm1(x / 0.6))],
    ['Selu', {}, (x) => 1.05070102214813232421875 * (x > 0 ? x : 1.67326319217681884765625 * Math.expm1(x))],
    ['ThresholdedRelu', { alpha: { float: 0.5 } }, (x) => (x > 0.5 ? x : 0)], ['HardSigmoid', { alpha: { float: 0.4 } }, (x) => Math.max(0, Math.min(1, 0.4 * x + 0.5))],
    ['HardSwish', {}, (x) => x * Math.max(0, Math.min(1, x / 6 + 0.5))], ['Mish', {}, (x) => x * Math.tanh(Math.log1p(Math.exp(x))), 18],
    ['Gelu', {}, (x) => 0.5 * x * (1 + erf(x * Math.SQRT1_2)), 20],
    ['Gelu', { approximate: 'tanh' }, (x) => 0.5 * x * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3))), 20],
  ];
  it.each(definitions)('%s %j agrees with the derivative of its definition', async (opType, attributes, f, opset) => {
    const graph = await makeCase(random, { x: { dims: [4, 9], low: -4, high: 4 } }, (build, [x]) => build.op(opType, [x!], attributes), opset);
    expectClose(await ourGradients(graph), { x: graph.seed.map((seed, i) => { const x = graph.values['x']![i]!; return seed * (f(x + 1e-6) - f(x - 1e-6)) / 2e-6; }) });
  });

  it('PRelu with a slope a channel, and Mean of broadcast inputs, agree with TensorFlow.js', async () => {
    const prelu = await makeCase(random, { x: { dims: [2, 3, 4] }, slope: { dims: [3, 1] } }, (build, names) => build.op('PRelu', names));
    expectClose(await ourGradients(prelu), await tfGradients(prelu, (x, slope) => tf.maximum(x!, 0).add(tf.minimum(x!, 0).mul(slope!))));
    const mean = await makeCase(random, { a: { dims: [2, 3] }, b: { dims: [3] }, c: { dims: [2, 1] } }, (build, names) => build.op('Mean', names));
    expectClose(await ourGradients(mean), await tfGradients(mean, (a, b, c) => a!.add(b!).add(c!).div(3)));
  });

  const shapes: readonly [a: number[], b: number[]][] = [[[2, 3, 4], [2, 3, 4]], [[2, 3, 4], [4]], [[3, 1], [2, 1, 5]], [[], [3, 2]], [[1, 3, 1, 1], [2, 3, 4, 2]], [[1], [1]]];
  const binary = ['Add', 'Sub', 'Mul', 'Div', 'Pow', 'Min', 'Max', 'Sum'];
  it.each(binary.flatMap((opType) => shapes.map(([a, b]) => [opType, a, b] as const)))('%s of shapes %j and %j sums over broadcast axes', async (opType, a, b) => {
    const positive = opType === 'Div' || opType === 'Pow' ? { low: 0.4, high: 2 } : {};
    const graph = await makeCase(random, { a: { dims: a, ...positive }, b: { dims: b, ...positive } }, (build, [x, y]) => build.op(opType, [x!, y!]));
    expectClose(await ourGradients(graph), await finiteDifferences(graph));
  });

  it('one value used twice gets the sum of both gradients', async () => {
    const graph = await makeCase(random, { x: { dims: [4, 3] } }, (build, [x]) => build.mul(build.add(x!, x!), build.op('Sigmoid', [x!])));
    expectClose(await ourGradients(graph), await finiteDifferences(graph));
  });

  it.each([['both bounds', -0.5, 0.7], ['no upper bound', -0.5, undefined], ['no lower bound', undefined, 0.7]])('Clip with %s passes the gradient inside', async (_title, low, high) => {
    const inputs: Inputs = { x: { dims: [6, 7] } };
    const graph = await makeCase(random, inputs, (build, [x]) => build.op('Clip', [x!, low === undefined ? '' : build.scalar(low), ...(high === undefined ? [] : [build.scalar(high)])]));
    expectClose(await ourGradients(graph), await finiteDifferences(graph));
  });

  it('Where passes the gradient to the branch that was taken', async () => {
    const graph = await makeCase(random, { x: { dims: [2, 5] }, a: { dims: [2, 5] }, b: { dims: [5] } }, (build, [x, a, b]) => build.op('Where', [build.op('Greater', [x!, 0]), a!, b!]));
    expectClose(await ourGradients(graph, ['a', 'b']), await finiteDifferences(graph, ['a', 'b']));
  });

  const ignored: readonly [string, (build: GraphBuilder, x: string) => string][] = [
    ['Sqrt', (build, x) => build.sqrt(x)], ['Pow', (build, x) => build.op('Pow', [x, 0.5])], ['Log', (build, x) => build.op('Log', [x])],
    ['Reciprocal', (build, x) => build.op('Reciprocal', [x])], ['Div', (build, x) => build.div(x, x)], ['Pow by it', (build, x) => build.op('Pow', [x, x])],
  ];
  it.each(ignored)('%s at zero gives no gradient where Where takes something else', async (_title, write) => {
    const graph = await makeCase(random, { x: { dims: [2, 3], low: 0.5, high: 1 } }, (build, [x]) => {
      const values = build.mul(x!, build.floats([2, 1], Float32Array.of(0, 1)));
      return build.op('Where', [build.op('Greater', [values, 0]), write(build, values), build.mul(x!, 3)]);
    });
    expectClose(await ourGradients(graph), await finiteDifferences(graph));
  });

  it.each([['int64', DataType.INT64], ['int32', DataType.INT32], ['float64', DataType.DOUBLE]])('Pow with an exponent of type %s agrees with finite differences', async (_title, to) => {
    const graph = await makeCase(random, { x: { dims: [3, 4] } }, (build, [x]) => build.op('Pow', [x!, build.op('Cast', [build.scalarInt(3), ], { to })]));
    expectClose(await ourGradients(graph), { x: graph.seed.map((seed, i) => 3 * seed * graph.values['x']![i]! ** 2) });
  });

  it('Dropout in training mode is refused, at inference with all its inputs it is not', async () => {
    const withMode = (mode: number): Promise<Case> => makeCase(random, { x: { dims: [3, 4] } }, (build, [x]) => {
      build.initializers.push(create(TensorProtoSchema, { name: 'mode', dataType: DataType.BOOL, rawData: Uint8Array.of(mode) }));
      return build.op('Dropout', [x!, 0.5, 'mode']);
    });
    const inference = await withMode(0);
    expectClose(await ourGradients(inference), { x: inference.seed });
    await expect(ourGradients(await withMode(1))).rejects.toThrow(/Dropout.*training mode/);
  });

  it('an operator without a rule is named with its node', async () => {
    const graph = await makeCase(random, { x: { dims: [3] } }, (build, [x]) => build.op('Acosh', [build.add(x!, 5)]));
    await expect(ourGradients(graph)).rejects.toThrow(/Acosh.*no gradient rule/);
  });
});
