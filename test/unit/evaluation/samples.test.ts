import { expect, it } from 'vitest';
import { type Samples, answersTo, chunked } from '../../../src/engine/evaluation/samples.ts';
import { makeNode } from '../../../src/engine/onnx/attributes.ts';
import { buildModel, valueInfo } from '../../../src/engine/onnx/buildModel.ts';
import { Session } from '../../../src/engine/runtime/session.ts';

const samples: Samples = { count: 3, inputs: [{ name: 'x', type: 'float32', dims: [2], data: Float32Array.of(1, 2, 3, 4, 5, 6) }] };
/** y is twice x, and m the mean of the whole batch. */
const model = (batch: number | string): ReturnType<typeof buildModel> => buildModel({ nodes: [makeNode('Add', ['x', 'x'], ['y']), makeNode('ReduceMean', ['x'], ['m'], { keepdims: 0 })], inputs: [valueInfo('x', [batch, 2], 1)], outputs: [valueInfo('y', [batch, 2], 1), valueInfo('m', [], 1)] });

it.each([['n', undefined], [2, 2], [5, 5]])('a model of batch %s answers two samples with two rows', async (batch, fixed) => {
  const session = await Session.create(model(batch));
  const { y, m } = await answersTo(session, samples, Int32Array.of(2, 0), fixed);
  expect(y).toMatchObject({ dims: [2, 2], data: Float32Array.of(10, 12, 2, 4) });
  expect(m!.dims).toEqual([]);
  expect(Object.keys(await answersTo(session, samples, Int32Array.of(0), fixed, ['y']))).toEqual(['y']);
  await session.release();
});

it.each<[number, number | undefined, number, number]>([
  [65, undefined, 64, 1], [100, undefined, 50, 2], [127, undefined, 63, 2], [280, undefined, 56, 5], [500, undefined, 62, 8], [5000, undefined, 64, 78], [128, undefined, 64, 2], [40, undefined, 40, 1], [100, 32, 32, 3], [3, 8, 8, 1],
])('%d samples for a batch of %s are chunks of %d: %d', (count, fixed, each, chunks) => {
  const { x } = chunked({ count, inputs: [{ name: 'x', type: 'float32', dims: [2], data: Float32Array.from({ length: 2 * count }, (_, i) => i) }] }, 64, fixed);
  expect(x!.map(({ dims }) => dims)).toEqual(Array.from({ length: chunks }, () => [each, 2]));
  expect(x!.flatMap(({ data }) => [...data as Float32Array])).toEqual(Array.from({ length: 2 * each * chunks }, (_, i) => i % (2 * count)));
});

it('refuses a batch that no memory holds', async () => {
  const session = await Session.create(model('n'));
  await expect(answersTo(session, samples, Int32Array.of(0), 2 ** 40)).rejects.toThrow(/takes batches of 1099511627776 samples only, which do not fit in memory/);
  await session.release();
});
