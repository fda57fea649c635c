import { expect, it } from 'vitest';
import { answersOf, holdsClasses, tally } from '../../../src/engine/evaluation/answers.ts';
import { Judge } from '../../../src/engine/evaluation/judge.ts';
import { makeNode } from '../../../src/engine/onnx/attributes.ts';
import { buildModel, valueInfo } from '../../../src/engine/onnx/buildModel.ts';
import { floatTensor } from '../../../src/engine/onnx/tensor.ts';
import { floats } from '../../../src/engine/runtime/session.ts';

it('scores that are no numbers take nothing from the other samples', async () => {
  const model = buildModel({ nodes: [makeNode('Log', ['x'], ['y'])], inputs: [valueInfo('x', ['n', 2], 1)], outputs: [valueInfo('y', ['n', 2], 1)] });
  const data = Float32Array.of(1, 1, /**/ -1, 1, /**/ 0, 0, /**/ 3, 1), labels = Int32Array.of(0, 0, 0, 0); // log: 0 0, NaN 0, -inf -inf, log 3 0
  const judge = await Judge.create(model, { count: 4, labels, inputs: [{ name: 'x', type: 'float32', dims: [2], data }] }, 'top1');
  expect(await judge.assess(model)).toEqual({ accuracy: 0.75, probability: (0.5 + 0 + 0 + 0.75) / 4 });
});

it.each<[number[], boolean]>([[[4, 3], true], [[4, 1], false], [[4, 21, 8, 8], true], [[4, 3, 8, 8], false], [[4, 3, 1, 1], true], [[4, 2, 1, 1], true], [[4, 1, 1, 1], false], [[4, 10, 6], false], [[4], false]])('an output of %j holds scores of classes: %s', (dims, expected) => {
  expect(holdsClasses({ dims })).toBe(expected);
});

it('agreement leaves out what is the same for all samples, though there is one of it', async () => {
  const model = buildModel({
    nodes: [makeNode('Identity', ['x'], ['y']), makeNode('Constant', [], ['scale'], { value: floatTensor('', [1], Float32Array.of(2)) })],
    inputs: [valueInfo('x', ['n', 2], 1)], outputs: [valueInfo('scale', [1], 1), valueInfo('y', ['n', 2], 1)],
  });
  const judge = await Judge.create(model, { count: 3, inputs: [{ name: 'x', type: 'float32', dims: [2], data: Float32Array.of(1, 0, 0, 1, 1, 0) }] }, 'agreement');
  expect(judge.outputs).toEqual([{ name: 'y', classes: true, binary: false }]);
  expect(await judge.accuracy(model)).toBe(1);
});

it.each([[[NaN, 1, 2], 2], [[Infinity, NaN, 0], 0], [[NaN, NaN, NaN], 0]])('the answer of %j is class %i', (scores, answer) => {
  const output = floats(Float32Array.from(scores), [1, 3]), truth = answersOf(output, 'y');
  expect(truth).toEqual({ classes: Int32Array.of(answer) });
  expect(tally(output, truth, 'agreement', 'y')[0]!.certainty).not.toBeNaN();
});
