import { expect, it } from 'vitest';
import { GraphView } from '../../../src/engine/onnx/graphView.ts';
import { loadModel } from '../../../src/engine/onnx/modelFile.ts';
import { analyse } from '../../../src/engine/pruning/analysis.ts';
import { columnsOf } from '../../../src/engine/reconstruction/layerRows.ts';
import { refitTargets, withFewerRows } from '../../../src/engine/reconstruction/refitTargets.ts';
import { memoryLimits } from '../../../src/engine/reconstruction/rowBudget.ts';
import { floats } from '../../../src/engine/runtime/session.ts';

it('takes fewer images of what was captured: as many rows as asked for or are enough, never fewer images than a layer before', async () => {
  const { proto } = await loadModel('examples/resnet20.onnx'), chunks = Array.from({ length: 6 }, (_, chunk) => floats(Float32Array.from({ length: 8 * 3072 }, (_unused, i) => Math.sin(i * 12.9898 + chunk)), [8, 3, 32, 32]));
  const targets = await refitTargets(proto, await analyse(proto), { [new GraphView(proto.graph).inputs[0]!]: chunks }, { rows: 480, perColumn: 0, points: 10, mostImages: 48, ...memoryLimits }, 1);
  const fewer = withFewerRows(targets, { rows: 200, perColumn: 0, mostPerColumn: 1, mostImages: 48 });
  fewer.layers.forEach(({ layout, sampled, wanted }, i) => {
    const before = targets.layers[i]!, rows = sampled.reduce((sum, { length }) => sum + length, 0);
    expect(rows, before.layer.name).toBeGreaterThanOrEqual(Math.min(200, columnsOf(layout), before.sampled.reduce((sum, { length }) => sum + length, 0)));
    expect(sampled).toEqual(before.sampled.slice(0, sampled.length));
    expect(wanted).toEqual(before.wanted.slice(0, sampled.length));
    expect(sampled.length).toBeGreaterThanOrEqual(i > 0 ? fewer.layers[i - 1]!.sampled.length : 1);
  });
  expect(fewer.layers[0]!.sampled.length).toBeLessThan(targets.layers[0]!.sampled.length);
  const all = { rows: 1e6, perColumn: 0, mostPerColumn: 1e6, mostImages: 48 };
  expect(withFewerRows(targets, all)).toEqual(targets);
  expect(withFewerRows(targets, { ...all, mostImages: 16 }).layers.map(({ sampled }) => sampled.length)).toEqual(targets.layers.map(({ sampled }) => Math.min(2, sampled.length)));
});
