import { describe, expect, it } from 'vitest';
import { latencyPredictor, latencyTableSchema, measureTable, sampledWidths } from '../../../src/engine/evaluation/latencyTable.ts';
import { loneLayer } from '../../../src/engine/evaluation/layerModel.ts';
import { loadModel } from '../../../src/engine/onnx/modelFile.ts';
import { analyse } from '../../../src/engine/pruning/analysis.ts';
import { layerWidths } from '../../../src/engine/pruning/costs.ts';
import { applyPlan } from '../../../src/engine/pruning/surgery.ts';
import { uniformKept } from '../../../src/engine/pruning/uniform.ts';
import { Session } from '../../../src/engine/runtime/session.ts';

const { proto } = await loadModel('examples/resnet20.onnx'), analysis = await analyse(proto);
const layers = analysis.layers.map((layer) => loneLayer(proto, analysis, layer));

describe('latency table', () => {
  it('samples widths of every alignment to blocks of channels, the least and the whole among them', () => {
    expect(sampledWidths(16, 2, 2)).toEqual([2, 4, 6, 8, 10, 12, 14, 16]);
    const widths = sampledWidths(512, 56, 8);
    expect(widths.length).toBeLessThanOrEqual(7);
    expect(widths).toEqual(expect.arrayContaining([56, 64, 504, 512]));
    expect(widths.every((width) => width % 8 === 0)).toBe(true);
    expect(sampledWidths(10, 10, 1)).toEqual([10]);
  });

  it('takes every layer out of the network as a graph that runs at other widths', async () => {
    expect(layers.every((layer) => layer !== undefined)).toBe(true);
    const conv = layers[5]!, session = await Session.create(conv.build(6, 10));
    try {
      const input = session.inputNames[0]!, channels = 6, side = 32;
      const { y } = await session.run({ [input]: { type: 'float32', dims: [1, channels, side, side], data: new Float32Array(channels * side * side) } });
      expect(y!.dims).toEqual([1, 10, side, side]);
    } finally { await session.release(); }
  });

  it('knows the widths of layers in a pruned network as its file has them', async () => {
    const kept = uniformKept(analysis, 0.5), pruned = await analyse(applyPlan(proto, analysis, kept));
    const now = new Map(pruned.layers.map((layer, i) => [layer.output, layerWidths(pruned, new Map())[i]!]));
    layerWidths(analysis, kept).forEach((widths, i) => { expect(widths).toEqual(now.get(analysis.layers[i]!.output)); });
  });

  it('predicts 1 for the whole network, and what was measured for those it was scaled by', () => {
    // times that follow ins * outs + 1 exactly, and networks that take twice the sum and 3 ms
    const table = { format: 'auto-compress/latency-table@1' as const, layers: Object.fromEntries(layers.map((layer) => {
      const ins = sampledWidths(layer!.ins, 1, 1), outs = sampledWidths(layer!.outs, 1, 1);
      return [layer!.key, { ins, outs, ms: ins.map((i) => outs.map((o) => i * o + 1)) }];
    })), networks: [] as { layersMs: number; ms: number }[] };
    const sum = (kept: Parameters<typeof layerWidths>[1]): number => layerWidths(analysis, kept).reduce((total, { ins, outs }) => total + ins * outs + 1, 0);
    const half = uniformKept(analysis, 0.5), third = uniformKept(analysis, 0.33);
    for (const kept of [new Map(), half]) table.networks.push({ layersMs: sum(kept), ms: 2 * sum(kept) + 3 });
    const predict = latencyPredictor(table, proto, analysis);
    expect(predict(new Map())).toBeCloseTo(1, 9);
    expect(predict(half)).toBeCloseTo((2 * sum(half) + 3) / (2 * sum(new Map()) + 3), 6);
    expect(predict(third)).toBeCloseTo((2 * sum(third) + 3) / (2 * sum(new Map()) + 3), 2); // interpolated between widths
  });

  it('measures a network on this machine; narrower is predicted faster or alike, and it can be stored', async () => {
    const kept = uniformKept(analysis, 0.5), half = applyPlan(proto, analysis, kept);
    const table = await measureTable(proto, analysis, [{ kept: new Map(), model: proto }, { kept, model: half }], { threads: 1, widthsOf: (full) => ({ least: Math.ceil(full / 2), step: Math.max(1, Math.ceil(full / 2)) }) });
    expect(latencyTableSchema.parse(JSON.parse(JSON.stringify(table)))).toEqual(table);
    expect(Object.keys(table.layers).length).toBeLessThan(analysis.layers.length); // layers that are alike are timed once
    const [whole, narrow] = table.networks, predicted = latencyPredictor(table, proto, analysis)(kept);
    expect(predicted).toBeGreaterThan(0);
    expect(narrow!.layersMs).toBeLessThan(2 * whole!.layersMs);
    if (narrow!.ms < whole!.ms && narrow!.layersMs < whole!.layersMs) expect(predicted).toBeLessThanOrEqual(1.0001);
  }, 200_000);
});
