import { join } from 'node:path';
import { expect, it } from 'vitest';
import { benchmark, latencyRatio, measureLatency, summarise } from '../../../src/engine/evaluation/latency.ts';
import { CancelledError } from '../../../src/engine/errors.ts';
import { Random } from '../../../src/engine/numerics/random.ts';
import { makeNode } from '../../../src/engine/onnx/attributes.ts';
import { buildModel, valueInfo } from '../../../src/engine/onnx/buildModel.ts';
import { saveModel } from '../../../src/engine/onnx/modelFile.ts';
import { temporaryFolder } from '../../support/files.ts';

it('summarises by quantiles, interpolated as NumPy does', () => {
  expect(summarise([5, 1, 4, 2, 3])).toEqual({ median: 3, p10: 1.4, p90: 4.6 });
  expect(summarise([7])).toEqual({ median: 7, p10: 7, p90: 7 });
});

it('gives an interval that covers the true ratio in about 95 of 100 cases, and is the same every time', () => {
  const random = new Random(3);
  let covered = 0;
  for (let trial = 0; trial < 100; trial++) {
    const samples = (scale: number): number[] => Array.from({ length: 41 }, () => scale * Math.exp(random.normal(0, 0.2)));
    const model = samples(2), against = samples(4), ratio = latencyRatio(model, against, 300);
    expect(latencyRatio(model, against, 300)).toEqual(ratio);
    expect(ratio.low).toBeLessThanOrEqual(ratio.value);
    expect(ratio.value).toBeLessThanOrEqual(ratio.high);
    covered += Number(ratio.low <= 0.5 && 0.5 <= ratio.high);
  }
  expect(covered).toBeGreaterThanOrEqual(88);
});

const relu = buildModel({ nodes: [makeNode('Relu', ['x'], ['y'])], inputs: [valueInfo('x', ['n', 4], 1)], outputs: [valueInfo('y', ['n', 4], 1)] });

it('measures several models, one result each', async () => {
  const results = await measureLatency([relu, relu], { seconds: 0.05, batch: 3 });
  expect(results).toHaveLength(2);
  for (const { median, p10, p90 } of results) expect(0 < p10 && p10 <= median && median <= p90).toBe(true);
});

it('stops when cancelled', async () => {
  await expect(measureLatency([relu], { signal: AbortSignal.abort() })).rejects.toThrow(CancelledError);
});

it('takes the batch that any input of the model fixes', async () => {
  const path = join(await temporaryFolder(), 'two.onnx');
  await saveModel(buildModel({ nodes: [makeNode('MatMul', ['a', 'b'], ['y'])], inputs: [valueInfo('a', ['n', 4, 2], 1), valueInfo('b', [3, 2, 4], 1)], outputs: [valueInfo('y', ['n', 4, 4], 1)] }), path);
  expect((await benchmark(path, undefined, { seconds: 0.01 })).batches.map(({ batch }) => batch)).toEqual([3]);
  await expect(benchmark(path, undefined, { batch: 8 })).rejects.toThrow('The model takes batches of 3 only.');
});
