import { describe, expect, it } from 'vitest';
import { Random } from '../../../src/engine/numerics/random.ts';
import type { AttributeValue } from '../../../src/engine/onnx/attributes.ts';
import { type InputSpec, type Inputs, expectClose, finiteDifferences, makeCase, ourGradients } from './oracle.ts';

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

  it('an operator without a rule is named with its node', async () => {
    const graph = await makeCase(random, { x: { dims: [3] } }, (build, [x]) => build.op('Acosh', [build.add(x!, 5)]));
    await expect(ourGradients(graph)).rejects.toThrow(/Acosh.*no gradient rule/);
  });
});
