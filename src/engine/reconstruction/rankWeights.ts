import type { GraphProto, ModelProto } from 'onnx-buf';
import { UnsupportedModelError } from '../errors.ts';
import { GraphView } from '../onnx/graphView.ts';
import { dimsOf, elementCount, nonZeroCount } from '../onnx/tensor.ts';
import type { Profile } from '../numerics/profile.ts';
import type { Analysis, Layer } from '../pruning/types.ts';
import { product } from '../runtime/matrix.ts';
import type { SessionOptions, Tensor } from '../runtime/session.ts';
import { addRidge } from './leastSquares.ts';
import { assumedError } from './calibration.ts';
import { gramMatrices } from './gramMatrices.ts';
import { columnsOf } from './layerRows.ts';
import { weightMatrices } from './layerWeights.ts';
import { type RegressibleLayer, isRefittable, regressibleLayers } from './regressibleLayers.ts';
import type { RowBudget } from './rowBudget.ts';
import { type SparseProblem, sparseEffort, thinOut } from './sparseWeights.ts';

type Model = ModelProto & { graph: GraphProto };

/** A layer whose weights may go one by one, in equal shares, and what that costs. */
export interface ThinnableLayer {
  readonly layer: Layer;
  /** Weights that are not zero, the bias not counted. */
  readonly weights: number;
  /** The share of all the layer's weights that these are. */
  readonly density: number;
  /** error[k]: relative squared error of the layer's output, refitted, with k of `shares` equal shares of the weights gone. */
  readonly error: Float64Array;
}

/** Into how many equal shares a layer's weights that are not zero are divided. */
export const shares = 256;
const densities = [0.7, 0.5, 0.35, 0.25, 0.17, 0.12, 0.08, 0.05, 0.03, 0.02, 0.01];
const ridge = 1e-3;

/**
 * Error curves of the layers whose weights may go one by one: those that a least-squares refit can repair, one convolution group each, with weights that are not zero.
 * @param feeds calibration inputs, one tensor a chunk of images
 * @throws {UnsupportedModelError} where there are none: says why
 */
export async function rankWeights(model: Model, analysis: Analysis, feeds: Readonly<Record<string, Tensor[]>>, options: SessionOptions & { budget: RowBudget; seed: number; memoryBytes?: number; profile: Profile; signal?: AbortSignal; progress?: (fraction: number) => void }): Promise<ThinnableLayer[]> {
  const view = new GraphView(model.graph), requests = (await regressibleLayers(model, view, analysis.layers, feeds)).found.filter(({ layer, layout }) => layout.groups === 1 && isRefittable(view, layer));
  const found: ThinnableLayer[] = [];
  let batch: RegressibleLayer[] = [], bytes = 0, done = 0;
  const finishBatch = async (): Promise<void> => {
    const grams = batch.length > 0 ? await options.profile.timed('gram', () => gramMatrices(model, batch, feeds, options.budget, options.seed, options)) : [];
    for (const [i, { layer, layout }] of batch.entries()) {
      options.signal?.throwIfAborted();
      const weight = view.constants.get(layer.weight)!, [matrix] = weightMatrices(layer, layout, weight, view.constants.get(layer.bias)), weights = nonZeroCount(weight), density = weights / elementCount(dimsOf(weight));
      if (weights > 0) found.push({ layer, weights, density, error: await options.profile.timed('elimination', () => errorCurve(grams[i]!.gram, matrix!, columnsOf(layout), layout.outs, density)) });
      options.progress?.(++done / requests.length);
    }
    batch = [];
    bytes = 0;
  };
  for (const request of requests) {
    const own = 12 * columnsOf(request.layout) ** 2;
    if (bytes + own > (options.memoryBytes ?? 600e6)) await finishBatch();
    batch.push(request);
    bytes += own;
  }
  await finishBatch();
  if (found.length === 0) throw new UnsupportedModelError(`No layer of the network has weights that can be removed one by one${analysis.layers.length > 0 ? ` (${[...new Set(analysis.layers.map((layer) => whyWhole(view, layer)))].join('; ')})` : ''}. Try --method channels.`);
  return found;
}

/** Why a layer's weights can't go one by one, for people. */
function whyWhole(view: GraphView, layer: Layer): string {
  const weight = view.constants.get(layer.weight);
  if (!weight) return `those of ${layer.name} are computed`;
  if (!isRefittable(view, layer)) return `those of ${layer.name} are read by other nodes as well`;
  if (layer.groups > 1) return `${layer.name} is a convolution in groups`;
  return nonZeroCount(weight) === 0 ? `those of ${layer.name} are zero` : `least squares on calibration data can't repair ${layer.name}`;
}

/** @param whole share of the weights that are not zero: the curve is that of their shares */
async function errorCurve(sum: Float64Array, weights: Float32Array, columns: number, outs: number, whole: number): Promise<Float64Array> {
  const rows = sum[columns * columns - 1]!, plain = Float32Array.from(sum);
  addRidge(sum, columns, ridge);
  const gram = Float32Array.from(sum), problem: SparseProblem = { gram, right: await product(gram, weights, columns, columns, outs), columns, outs };
  const explained = await product(plain, weights, columns, columns, outs);
  let energy = 0;
  for (let i = 0; i < explained.length; i++) energy += weights[i]! * explained[i]!;
  for (let o = 0; o < outs; o++) energy -= explained[(columns - 1) * outs + o]! ** 2 / rows; // what a constant explains
  const known: [gone: number, error: number][] = [[0, 0]], { steps } = sparseEffort(columns);
  for await (const { density, weights: thinned } of thinOut(problem, weights, densities.map((share) => whole * share), steps)) {
    const difference = weights.map((value, i) => value - thinned[i]!), image = await product(plain, difference, columns, columns, outs);
    let error = 0;
    for (let i = 0; i < image.length; i++) error += difference[i]! * image[i]!;
    known.push([1 - density / whole, Math.max(known.at(-1)![1], error / Math.max(energy, 1e-12))]);
  }
  if (!known.every(([, error]) => Number.isFinite(error))) return assumedError(shares); // infinite inputs
  known.push([1, Math.max(1, known.at(-1)![1])]);
  return Float64Array.from({ length: shares + 1 }, (_, k) => {
    const gone = k / shares, above = Math.max(1, known.findIndex(([at]) => at >= gone)), [from, low] = known[above - 1]!, [to, high] = known[above]!;
    return low + ((high - low) * (gone - from)) / (to - from);
  });
}
