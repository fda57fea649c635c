import type { GraphProto, ModelProto, TensorProto } from 'onnx-buf';
import { concatenated } from '../numerics/concatenated.ts';
import { GraphView } from '../onnx/graphView.ts';
import { dimsOf, elementCount, floatTensor, floatsOf, nonZeroCount, withFloats } from '../onnx/tensor.ts';
import { layerWidths } from '../pruning/costs.ts';
import type { Analysis, KeptUnits, Layer } from '../pruning/types.ts';
import { dimsOfZeros } from '../pruning/zerosNode.ts';
import { runChunks } from '../runtime/chunkedRun.ts';
import type { SessionOptions, Tensor } from '../runtime/session.ts';
import { type RowLayout, columnsOf, outputRows, samplePositions } from './layerRows.ts';
import type { RegressionChunk } from './leastSquares.ts';
import { outputSink } from './outputSink.ts';
import { isRefittable, regressibleLayers } from './regressibleLayers.ts';
import { type RowBudget, shareRows } from './rowBudget.ts';

type Model = ModelProto & { graph: GraphProto };

/** A layer to refit, with what of it does not depend on the candidate. */
export interface RefitLayer {
  readonly layer: Layer;
  readonly layout: RowLayout;
  readonly target: string;
  readonly residual: string | undefined;
  /** Sampled output positions and the original network's target there ([rows, channels]), by chunk of images. */
  readonly sampled: readonly Int32Array[];
  readonly wanted: Float32Array[];
}

/** The layers of a network that can be refitted, from input to output, with the original's answers on calibration images. */
export interface RefitTargets {
  /** For every graph input, one tensor a chunk of images. */
  readonly feeds: Readonly<Record<string, Tensor[]>>;
  readonly layers: readonly RefitLayer[];
  readonly analysis: Analysis;
  /** Images in a chunk. */
  readonly images: number;
  readonly session: SessionOptions;
}

/**
 * Runs the original network once over the calibration images and keeps its outputs at sampled positions.
 * @param feeds for every graph input, one tensor a chunk of images; chunks are equally long @param budget how many of them each layer gets
 * @param options firstLayers: whether layers that read the graph's inputs are refitted as well, as they must be when they lose weights
 */
export async function refitTargets(model: Model, analysis: Analysis, feeds: Readonly<Record<string, Tensor[]>>, budget: RowBudget, seed: number, options: SessionOptions & { readonly firstLayers?: boolean } = {}): Promise<RefitTargets> {
  const { firstLayers = false, ...session } = options;
  const view = new GraphView(model.graph), order = refitOrder(view, analysis), chunks = Object.values(feeds)[0]!.length;
  const { found: regressible, shapes, images } = await regressibleLayers(model, view, order.layers, feeds), layoutOf = new Map(regressible.map(({ layer, layout }) => [layer, layout]));
  const sizes = view.nodes.map(({ output }) => Math.max(0, ...output.map((value) => elementsOf(shapes.get(value)) / images)));
  for (let i = sizes.length - 2; i >= 0; i--) sizes[i] = Math.max(sizes[i]!, sizes[i + 1]!);
  const positions = new Map(view.nodes.map((node, i) => [node.output[0], i])), largestFrom = ({ node, input }: Layer): number => Math.max(sizes[positions.get(node.output[0]) ?? 0] ?? 0, elementsOf(shapes.get(input)) / images);
  const found = order.layers.flatMap((layer, position) => {
    const layout = layoutOf.get(layer), output = shapes.get(layer.output)!;
    if (!layout || !isRefittable(view, layer) || !(firstLayers || order.follows(layer))) return [];
    const sink = outputSink(view, view.initializers, layer, layout.groups * layout.outs, (shortcut) => order.lastLayerBefore(shortcut) < position && sameShape(shapes.get(shortcut), output));
    return [{ layer, layout, target: sink.target, residual: sink.residual, position, heldElements: largestFrom(layer) }];
  });
  const shares = shareRows(found, images, chunks, budget);
  const layers = found.map(({ position, layer, layout, target, residual }, i): RefitLayer => ({
    layer, layout, target, residual, wanted: [],
    sampled: Array.from({ length: shares[i]!.chunks }, (_, chunk) => samplePositions(layout.positions, images, shares[i]!.points, seed + position * 7919 + chunk * 104729)),
  }));
  await captureTargets(model, layers, feeds, session);
  return { feeds, layers, analysis, images, session };
}

/**
 * The same with fewer images: so many rows a layer where they are there, but no more than `mostPerColumn` times its columns or `mostImages` have, beyond which
 * policies are told apart as well, and at least `perColumn` times its columns. No layer gets fewer images than one before it.
 */
export function withFewerRows(targets: RefitTargets, { rows, perColumn, mostPerColumn, mostImages }: { readonly rows: number; readonly perColumn: number; readonly mostPerColumn: number; readonly mostImages: number }): RefitTargets {
  let most = 0;
  const layers = targets.layers.map((refit): RefitLayer => {
    const each = refit.sampled[0]!.length, columns = columnsOf(refit.layout), limit = Math.max(perColumn * columns, Math.min(rows, mostPerColumn * columns, each * mostImages / targets.images));
    most = Math.min(refit.sampled.length, Math.max(most, Math.ceil(limit / each)));
    return { ...refit, sampled: refit.sampled.slice(0, most), wanted: refit.wanted.slice(0, most) };
  });
  return { ...targets, layers };
}

const elementsOf = (shape: readonly number[] | undefined): number => (shape ?? [1]).reduce((a, b) => a * b, 1);
const sameShape = (a: readonly number[] | undefined, b: readonly number[]): boolean => a !== undefined && a.length === b.length && a.every((dim, i) => dim === b[i]);


/** Layers from input to output: by the longest path in layers, so that a downsampling shortcut comes before the end of its block. */
function refitOrder(view: GraphView, analysis: Analysis): { layers: Layer[]; follows(layer: Layer): boolean; lastLayerBefore(value: string): number } {
  const byNode = new Map(analysis.layers.map((layer) => [layer.node.output[0]!, layer]));
  const depth = new Map<string, number>(), depths = new Map<Layer, number>();
  for (const node of view.nodes) {
    const layer = byNode.get(node.output[0] ?? '');
    const level = Math.max(0, ...node.input.map((value) => depth.get(value) ?? 0)) + (layer ? 1 : 0);
    node.output.forEach((value) => depth.set(value, level));
    if (layer) depths.set(layer, level);
  }
  const layers = [...depths.keys()].sort((a, b) => depths.get(a)! - depths.get(b)!);
  const position = new Map(layers.map((layer, i) => [layer, i])), last = new Map<string, number>();
  for (const node of view.nodes) {
    const layer = byNode.get(node.output[0] ?? '');
    const latest = Math.max(-1, ...node.input.map((value) => last.get(value) ?? -1), layer ? position.get(layer)! : -1);
    node.output.forEach((value) => last.set(value, latest));
  }
  return { layers, follows: (layer) => depths.get(layer)! > 1, lastLayerBefore: (value) => last.get(value) ?? -1 };
}

/** Early layers have enough after a few chunks; the rest is run for the later ones only. */
async function captureTargets(model: Model, layers: readonly RefitLayer[], feeds: Readonly<Record<string, Tensor[]>>, options: SessionOptions): Promise<void> {
  const images = Object.values(feeds)[0]![0]!.dims[0]!;
  let chunk = 0;
  for await (const values of runChunks(model, feeds, (at) => layers.filter(({ sampled }) => at < sampled.length).map(({ target }) => target), options)) {
    for (const { layout, target, sampled, wanted } of layers) if (chunk < sampled.length) wanted.push(outputRows(layout, values[target]!.data as Float32Array, images, sampled[chunk]!));
    chunk++;
  }
}

/** Rows of a regression that are multiplied at once. */
export const blockRows = 4096;

/** Chunks of rows as one. */
export function joined(chunks: readonly RegressionChunk[]): RegressionChunk {
  if (chunks.length === 1) return chunks[0]!;
  const residuals = chunks.flatMap(({ residual }) => residual ?? []);
  return { inputs: concatenated(chunks.map(({ inputs }) => inputs)), target: concatenated(chunks.map(({ target }) => target)), ...(residuals.length > 0 ? { residual: concatenated(residuals) } : {}) };
}

/** Chosen columns of a row-major matrix; the matrix itself when all are wanted. */
export function pickColumns(matrix: Float32Array, width: number, columns: ArrayLike<number> | undefined): Float32Array {
  if (!columns) return matrix;
  const rows = matrix.length / width, out = new Float32Array(rows * columns.length);
  let to = 0;
  for (let row = 0; row < rows; row++) for (let i = 0; i < columns.length; i++) out[to++] = matrix[row * width + columns[i]!]!;
  return out;
}

/** Operators that take a bias as their third input. */
const biased = new Set(['Conv', 'ConvTranspose', 'Gemm']);

/**
 * Gives every layer a bias of its own to be fitted (convolutions and Gemm take it as their third input): of zeros where it has none, a copy where several nodes read
 * the same one or a node computes it, or where one number stands for all outputs. What a layer with nothing left to read answers is its bias.
 */
export function withBiases(model: Model, layers: readonly Layer[]): { model: Model; biases: ReadonlyMap<Layer, string> } {
  const initializers = new Map(model.graph.initializer.map((tensor) => [tensor.name, tensor])), readers = new Map<string, number>();
  for (const { input } of model.graph.node) for (const value of input) readers.set(value, (readers.get(value) ?? 0) + 1);
  const sizeOf = (name: string, axis?: number): number | undefined => initializers.get(name)?.dims.reduce((size, dim, i) => (axis === undefined || axis === i ? size * Number(dim) : size), 1);
  const own = ({ bias, weight, outAxis }: Layer): boolean => readers.get(bias) === 1 && sizeOf(bias) === sizeOf(weight, outAxis);
  const needing = new Map(layers.filter((layer) => initializers.has(layer.weight) && !own(layer) && biased.has(layer.opType)).map((layer) => [layer.node.output[0]!, layer]));
  const biases = new Map<Layer, string>(), added: TensorProto[] = [];
  const constants = [...needing.values()].some(({ bias }) => bias !== '') ? new GraphView(model.graph).constants : initializers;
  const constant = new Map(layers.filter(({ weight }) => !initializers.has(weight)).map((layer) => [layer.biased, layer]));
  for (const [value, layer] of constant) if (initializers.has(value)) biases.set(layer, value);
  const node = model.graph.node.flatMap((old) => {
    const empty = constant.get(old.output[0] ?? ''), dims = empty && dimsOfZeros(old, initializers);
    if (empty && dims) {
      const value = old.output[0]!;
      added.push(floatTensor(value, dims, new Float32Array(dims.reduce((a, b) => a * b, 1))));
      biases.set(empty, value);
      return [];
    }
    const layer = needing.get(old.output[0] ?? ''), weight = layer && initializers.get(layer.weight), shared = layer && layer.bias !== '' ? constants.get(layer.bias) : undefined;
    if (!layer || !weight || (layer.bias !== '' && !shared)) return old;
    const name = `${layer.weight}/auto-compress:bias`, outs = Number(weight.dims[layer.outAxis]!);
    const start = shared ? floatsOf(shared) : new Float32Array(outs), values = start.length === outs ? start : new Float32Array(outs).fill(start[0]!);
    added.push(withFloats({ ...floatTensor(name, [outs], values), dataType: weight.dataType }, [outs], values));
    biases.set(layer, name);
    return { ...old, input: [old.input[0]!, old.input[1]!, name] };
  });
  return { model: { ...model, graph: { ...model.graph, node, initializer: [...model.graph.initializer, ...added] } }, biases };
}

/** How many parameters {@link withBiases} adds to the network pruned to what is kept. @param biases that it added to the whole one */
export function addedBiases(analysis: Analysis, biases: ReadonlyMap<Layer, string>): (kept: KeptUnits) => number {
  const positions = [...biases.keys()].map((layer) => analysis.layers.indexOf(layer));
  return (kept) => { const widths = positions.length > 0 ? layerWidths(analysis, kept) : []; return positions.reduce((sum, i) => sum + widths[i]!.outs, 0); };
}

/**
 * How many zeros of a network the repair may fill: those of biases, and of weights that are not thinned out.
 * @param biased the network with biases to be fitted @param layers those that are refitted @param thinned names of weights
 */
export function filledZeros({ model, biases }: ReturnType<typeof withBiases>, layers: readonly Layer[], thinned: ReadonlySet<string>): number {
  const { constants } = new GraphView(model.graph), filled = new Set(layers.flatMap((layer) => [layer.weight, biases.get(layer) ?? layer.bias]).filter((name) => !thinned.has(name)));
  const tensors = [...filled].map((name) => constants.get(name)).filter((tensor) => tensor !== undefined);
  return tensors.reduce((sum, tensor) => sum + elementCount(dimsOf(tensor)) - nonZeroCount(tensor), 0);
}
