import type { GraphProto, ModelProto } from 'onnx-buf';
import type { Profile } from '../numerics/profile.ts';
import { GraphView } from '../onnx/graphView.ts';
import { channelOrders } from '../pruning/importance.ts';
import type { Analysis, PruningGroup } from '../pruning/types.ts';
import { independentGroups } from '../pruning/uniform.ts';
import type { SessionOptions, Tensor } from '../runtime/session.ts';
import { type Consumer, eliminateUnits } from './channelElimination.ts';
import { gramMatrices } from './gramMatrices.ts';
import { columnsOf } from './layerRows.ts';
import { weightMatrices } from './layerWeights.ts';
import { type RegressibleLayer, regressibleLayers } from './regressibleLayers.ts';
import type { RowBudget } from './rowBudget.ts';

type Model = ModelProto & { graph: GraphProto };

/** A pruning group with the order in which its units are given up, and what that costs. */
export interface RankedGroup {
  readonly group: PruningGroup;
  /** Units, the first to go first. */
  readonly order: readonly number[];
  /** error[k]: reconstruction error (relative, summed over consumers) with the first k units gone. */
  readonly error: ArrayLike<number>;
}

export interface RankOptions extends SessionOptions {
  readonly budget: RowBudget;
  readonly seed: number;
  /** Memory that Gram matrices may take at a time, bytes. Default 600 MB. */
  readonly memoryBytes?: number;
  readonly profile: Profile;
  readonly signal?: AbortSignal;
  readonly progress?: (fraction: number) => void;
}

/**
 * Ranks the units of every group that may be pruned on its own, in the order in which the network makes them: by joint backward elimination over all
 * layers that read them. A group that no measurable layer reads (attention's query and key width), or whose readers' inputs are not finite, is ranked by weights alone.
 * @param feeds calibration inputs, one tensor a chunk of images
 */
export async function rankGroups(model: Model, analysis: Analysis, feeds: Readonly<Record<string, Tensor[]>>, options: RankOptions): Promise<RankedGroup[]> {
  const view = new GraphView(model.graph), free = independentGroups(analysis);
  const { found } = await regressibleLayers(model, view, analysis.layers, feeds), readers = new Map(found.filter(({ layout }) => layout.groups === 1).map((request) => [request.layer.weight, request]));
  const groups = inNetworkOrder(analysis, analysis.groups.filter(({ id }) => free.has(id)));
  const requestsOf = (group: PruningGroup): { request: RegressibleLayer; unitOf: Int32Array }[] => group.consumers.flatMap(({ initializer, axis, unitOf }) => {
    const request = readers.get(initializer);
    return request && request.layer.inAxis === axis ? [{ request, unitOf }] : [];
  });
  const fallback = channelOrders(model, analysis);
  const ranked: RankedGroup[] = [];
  for (const batch of batchesWithin(groups, (group) => requestsOf(group).reduce((sum, { request }) => sum + columnsOf(request.layout) ** 2 * 8, 0), options.memoryBytes ?? 600e6)) {
    const requests = [...new Set(batch.flatMap((group) => requestsOf(group).map(({ request }) => request)))];
    const grams = requests.length > 0 ? await options.profile.timed('gram', () => gramMatrices(model, requests, feeds, options.budget, options.seed, options)) : [];
    for (const group of batch) {
      const consumers = requestsOf(group).map(({ request, unitOf }): Consumer => {
        const { layer, layout } = request, bias = view.constants.get(layer.bias);
        return { gram: grams[requests.indexOf(request)]!.gram, weights: weightMatrices(layer, layout, view.constants.get(layer.weight)!, bias)[0]!, outs: layout.outs, unitOf, taps: layout.taps };
      });
      const eliminated = consumers.length > 0 ? await options.profile.timed('elimination', () => eliminateUnits(consumers, group.channels, { ridge: 1e-4, steps: stepsFor(consumers), ...(options.signal ? { signal: options.signal } : {}) })) : undefined;
      ranked.push({ group, ...(eliminated?.error.every(Number.isFinite) ? eliminated : byWeights(group, fallback.get(group.id))) });
      options.progress?.(ranked.length / groups.length);
    }
  }
  return ranked;
}

/** One unit a step where that is cheap; larger steps for wide layers, whose elimination costs the cube of their columns. */
function stepsFor(consumers: readonly Consumer[]): number {
  const widest = Math.max(...consumers.map(({ unitOf, taps }) => unitOf.length * taps));
  return widest > 3000 ? 12 : widest > 1500 ? 24 : 64;
}

/** An error that grows with the square of what is gone: what is assumed where least squares can't tell. @returns error[k] with k of `units` gone */
export const assumedError = (units: number): Float64Array => Float64Array.from({ length: units + 1 }, (_, gone) => (gone / units) ** 2);

/** The order of summed weights, and an assumed error. */
function byWeights(group: PruningGroup, mostImportantFirst: readonly number[] | undefined): { order: readonly number[]; error: Float64Array } {
  const order = [...(mostImportantFirst ?? Array.from({ length: group.channels }, (_, unit) => unit))].reverse();
  return { order, error: assumedError(group.channels) };
}

/** Groups sorted by the first layer that makes or reads them. */
function inNetworkOrder(analysis: Analysis, groups: readonly PruningGroup[]): PruningGroup[] {
  const position = new Map<string, number>();
  analysis.layers.forEach(({ weight }, i) => { if (!position.has(weight)) position.set(weight, i); });
  const first = (group: PruningGroup): number => Math.min(...[...group.producers, ...group.consumers].map(({ initializer }) => position.get(initializer) ?? Infinity));
  return groups.map((group) => ({ group, at: first(group) })).sort((a, b) => a.at - b.at).map(({ group }) => group);
}

function batchesWithin<T>(items: readonly T[], sizeOf: (item: T) => number, limit: number): T[][] {
  const batches: T[][] = [];
  let size = Infinity;
  for (const item of items) {
    const own = sizeOf(item);
    if (size + own > limit) { batches.push([]); size = 0; }
    batches.at(-1)!.push(item);
    size += own;
  }
  return batches;
}
