import type { GraphProto, ModelProto } from 'onnx-buf';
import { z } from 'zod';
import { layerWidths } from '../pruning/costs.ts';
import type { Analysis, KeptUnits } from '../pruning/types.ts';
import { type LatencyOptions, median, timeInTurn } from './latency.ts';
import { type LoneLayer, loneLayer } from './layerModel.ts';

type Model = ModelProto & { graph: GraphProto };

const layerTimesSchema = z.object({ ins: z.array(z.int().min(1)).min(1), outs: z.array(z.int().min(1)).min(1), ms: z.array(z.array(z.number().positive())) });
/** Milliseconds of layers at a few widths, and of whole networks to scale their sum by. */
export const latencyTableSchema = z.object({
  format: z.literal('auto-compress/latency-table@1'),
  /** ms[i][o]: median time of a layer with ins[i] input and outs[o] output channels, by the layer's key. */
  layers: z.record(z.string(), layerTimesSchema),
  /** Whole networks: the sum of their layers by this table, and the median time of the network, ms. */
  networks: z.array(z.object({ layersMs: z.number(), ms: z.number().positive() })),
  /** The power to which a predicted fraction is the measured one, for networks like those that are looked for. */
  bend: z.number().positive().optional(),
});
export type LatencyTable = z.infer<typeof latencyTableSchema>;
/** The time of a pruned network, as a fraction of the whole one's. */
export type Predictor = (kept: KeptUnits) => number;
type LayerTimes = z.infer<typeof layerTimesSchema>;

/** Kernels work on blocks of up to so many channels. */
const widestBlock = 16;

/** How well a channel count fits blocks: the largest power of two, up to the widest block, that divides it. */
const alignmentOf = (count: number): number => { let block = 1; while (block < widestBlock && count % (block * 2) === 0) block *= 2; return block; };

/**
 * Widths to time a layer at: of each alignment to kernels' blocks a few, from the least to the whole width, so that what kernels like is found and not assumed.
 * @param step widths are multiples of this
 */
export function sampledWidths(full: number, least: number, step: number): number[] {
  const all = new Set([full]);
  for (let count = Math.ceil(least / step) * step; count < full; count += step) all.add(count);
  if (all.size <= 8) return [...all].sort((a, b) => a - b);
  const byAlignment = new Map<number, number[]>();
  for (const count of [...all].sort((a, b) => a - b)) byAlignment.set(alignmentOf(count), [...(byAlignment.get(alignmentOf(count)) ?? []), count]);
  const each = byAlignment.size <= 2 ? 3 : 2;
  const chosen = [...byAlignment.values()].flatMap((counts) => Array.from({ length: Math.min(each, counts.length) }, (_, i) => counts[Math.round((i * (counts.length - 1)) / Math.max(1, Math.min(each, counts.length) - 1))]!));
  return [...new Set([...chosen, full])].sort((a, b) => a - b);
}

/** Times of one layer between the widths that were measured: linear along both axes, among widths of the same alignment. */
function timeAt({ ins, outs, ms }: LayerTimes, wantedIns: number, wantedOuts: number): number {
  const row = weightsBetween(ins, wantedIns), column = weightsBetween(outs, wantedOuts);
  let time = 0;
  for (const [i, a] of row) for (const [o, b] of column) time += a * b * ms[i]![o]!;
  return Math.max(time, 1e-6);
}

/** Which of the measured widths stand for a width, and with what share. */
function weightsBetween(widths: readonly number[], wanted: number): [index: number, share: number][] {
  const exact = widths.indexOf(wanted);
  if (exact >= 0) return [[exact, 1]];
  const alignment = alignmentOf(wanted);
  let same = [...widths.keys()].filter((i) => alignmentOf(widths[i]!) === alignment);
  if (same.length < 2) same = [...widths.keys()];
  if (same.length === 1) return [[same[0]!, 1]];
  const above = Math.min(same.length - 1, Math.max(1, same.findIndex((i) => widths[i]! >= wanted) === -1 ? same.length - 1 : same.findIndex((i) => widths[i]! >= wanted)));
  const low = same[above - 1]!, high = same[above]!, share = (wanted - widths[low]!) / (widths[high]! - widths[low]!);
  return [[low, 1 - share], [high, share]];
}

/** Sum of the times of a model's layers when pruned, ms. */
function layersMs(table: Pick<LatencyTable, 'layers'>, keys: readonly (string | undefined)[], analysis: Analysis, kept: KeptUnits): number {
  return layerWidths(analysis, kept).reduce((sum, { ins, outs }, i) => {
    const times = keys[i] === undefined ? undefined : table.layers[keys[i]];
    return sum + (times && ins > 0 && outs > 0 ? timeAt(times, ins, outs) : 0);
  }, 0);
}

export interface TableOptions extends Pick<LatencyOptions, 'threads' | 'inputShapes' | 'signal'> {
  /** Widths that a layer's axis may have: least, and step. */
  readonly widthsOf: (full: number) => { readonly least: number; readonly step: number };
  readonly progress?: (fraction: number) => void;
}

/** Seconds of measuring a graph of a single layer, and a whole network. */
const secondsALayer = 0.02, secondsANetwork = 1.2;

/**
 * Measures a model's layers on this machine, one graph a layer and width, batch 1, and a few whole pruned networks.
 * @param networks pruned versions of the model, the whole one among them, and what each keeps
 */
export async function measureTable(model: Model, analysis: Analysis, networks: readonly { readonly kept: KeptUnits; readonly model: Model }[], { widthsOf, progress, ...options }: TableOptions): Promise<LatencyTable> {
  const lone = analysis.layers.map((layer) => loneLayer(model, analysis, layer)), layers: LatencyTable['layers'] = {};
  const different = new Map(lone.filter((layer) => layer !== undefined).map((layer) => [layer.key, layer]));
  const { inputShapes: _, ...timing } = options;
  for (const layer of different.values()) {
    layers[layer.key] = await timeLayer(layer, widthsOf, timing);
    progress?.(Object.keys(layers).length / (different.size + 1));
  }
  const times = await timeInTurn(networks.map((network) => network.model), { ...options, seconds: secondsANetwork * networks.length });
  const keys = lone.map((layer) => layer?.key);
  return { format: 'auto-compress/latency-table@1', layers, networks: networks.map(({ kept }, i) => ({ layersMs: layersMs({ layers }, keys, analysis, kept), ms: median(times[i]!) })) };
}

async function timeLayer(layer: LoneLayer, widthsOf: TableOptions['widthsOf'], options: LatencyOptions): Promise<LayerTimes> {
  const widths = (full: number): number[] => { const { least, step } = widthsOf(full); return full === 1 ? [1] : sampledWidths(full, least, step); };
  const outs = widths(layer.outs), ins = layer.depthwise ? [1] : widths(layer.ins);
  const pairs = ins.flatMap((i) => outs.map((o) => [i, o] as const));
  const samples = await timeInTurn(pairs.map(([i, o]) => layer.build(i, o)), { ...options, batch: 1, seconds: secondsALayer * pairs.length });
  const medians = samples.map((each) => Math.max(1e-6, median(each)));
  return { ins, outs, ms: ins.map((_, i) => medians.slice(i * outs.length, (i + 1) * outs.length)) };
}

/**
 * Predicts the time of a pruned network as a fraction of the whole one's. The sum of lone layers is not the time of a network (fused activations, layouts that
 * are kept between layers, the cost of a call), so it is scaled by a line through the whole networks that were measured.
 */
export function latencyPredictor(table: LatencyTable, model: Model, analysis: Analysis): Predictor {
  const keys = analysis.layers.map((layer) => loneLayer(model, analysis, layer)?.key);
  const { slope, offset } = lineThrough(table.networks), whole = slope * layersMs(table, keys, analysis, new Map()) + offset;
  return (kept) => Math.max(1e-3, (slope * layersMs(table, keys, analysis, kept) + offset) / whole) ** (table.bend ?? 1);
}

/** Least squares of relative errors; through the origin where a line would fall. */
function lineThrough(points: LatencyTable['networks']): { slope: number; offset: number } {
  let w = 0, wx = 0, wy = 0, wxx = 0, wxy = 0;
  for (const { layersMs: x, ms: y } of points) { const weight = 1 / y ** 2; w += weight; wx += weight * x; wy += weight * y; wxx += weight * x * x; wxy += weight * x * y; }
  const slope = (w * wxy - wx * wy) / (w * wxx - wx * wx);
  return slope > 0 && Number.isFinite(slope) ? { slope, offset: (wy - slope * wx) / w } : { slope: wx > 0 ? wxy / wxx : 1, offset: wx > 0 ? 0 : 1 };
}
