import type { GraphProto, ModelProto } from 'onnx-buf';
import type { GraphBuilder } from '../onnx/graphBuilder.ts';
import { GraphView } from '../onnx/graphView.ts';
import { floatsOf } from '../onnx/tensor.ts';
import { analyse } from '../pruning/analysis.ts';
import type { Layer } from '../pruning/types.ts';
import { CholeskyFactor } from '../reconstruction/cholesky.ts';
import { type RowLayout, columnsOf, inputRows, rowLayout, samplePositions } from '../reconstruction/layerRows.ts';
import { runChunks } from '../runtime/chunkedRun.ts';
import { addGram, columnsFrom, mirror, product } from '../runtime/matrix.ts';
import type { Tensor } from '../runtime/session.ts';
import { runShapes } from '../runtime/shapes.ts';
import { type Parameter, parametersOf } from './parameters.ts';

type Model = ModelProto & { graph: GraphProto };

/**
 * The coordinates in which a layer is trained. Its inputs, as rows x of a regression (layerRows.ts), have the mean m and the covariance K Kᵀ, K lower triangular, so that
 * z = K⁻¹(x - m) has no mean, no correlations and unit size. The layer W x + b = V z + v is trained by V = W K and v = b + W m: steps of the same size change what the layer gives by
 * the same amount, whatever its inputs are like. This is natural gradient descent with one factor of the Fisher matrix (Martens and Grosse 2015; alone: Benzing 2022, arXiv 2201.12250), the
 * other left to Adam. Columns of wide layers are taken in blocks, as if they had no correlations with those of other blocks. Only gradients and steps are taken in these coordinates; where zeros
 * are to stay, what a step would make of them is left out, and what the gradient says of them too: it still goes downhill, since the two maps are each other's transposes.
 */
export interface WhitenedLayer {
  readonly weight: Parameter;
  /** Absent where the layer has none: its inputs then keep their mean. */
  readonly bias: Parameter | undefined;
  readonly outs: number;
  readonly inputs: number;
  /** Kernel positions among the inputs; 1 for Gemm and MatMul. */
  readonly taps: number;
  /** m, [inputs]; zero without a bias. */
  readonly mean: Float32Array;
  readonly blocks: readonly WhitenedBlock[];
  /** The root mean square of each row of V at the start, [outs]. */
  readonly sizes: Float32Array;
}

/** Columns [from, from + width) of a layer's inputs. */
interface WhitenedBlock { readonly from: number; readonly width: number; /** K⁻¹, [width, width]. */ readonly inverse: Float32Array }

/** Columns of a block at most, what is added to covariances as a share of their mean diagonal (directions in which inputs hardly vary are left as they are), rows of a layer's statistics, and output positions that an image gives. */
const mostColumns = 512, damping = 0.03, mostRows = 8192, points = 16;
/** What is added at least, as a share of the summed mean squares of a block's inputs: where these do not vary, float32 leaves of the difference of two equal numbers rounding errors, of either sign, which add up over the columns. */
const rounding = 1e-5;

interface Request { readonly layer: Layer; readonly layout: RowLayout; readonly weight: Parameter; readonly bias: Parameter | undefined }
/** Sums over rows: of each column, and of the products of those in a block. */
interface Moments { readonly sums: Float64Array; readonly blocks: readonly { readonly from: number; readonly width: number; readonly gram: Float64Array }[]; rows: number }

/**
 * Finds the coordinates of all layers whose inputs can be read as rows of one regression (of one convolution group), and whose weights no other layer shares.
 * @param feeds for every graph input, one tensor a chunk of samples
 */
export async function whitenLayers(model: Model, feeds: Readonly<Record<string, Tensor[]>>, options: { readonly threads: number; readonly seed: number; readonly signal?: AbortSignal }): Promise<WhitenedLayer[]> {
  const view = new GraphView(model.graph), parameters = new Map(parametersOf(model).map((parameter) => [parameter.name, parameter])), { layers } = await analyse(model);
  const { shapes } = await runShapes(model, view, Object.fromEntries(Object.entries(feeds).map(([name, chunks]) => [name, chunks[0]!.dims])));
  const ownOf = (name: string): Parameter | undefined => (view.usesOf(name).length === 1 ? parameters.get(name) : undefined);
  const samples = Object.values(feeds)[0]![0]!.dims[0]!;
  const requests = layers.flatMap((layer): Request[] => {
    const weight = ownOf(layer.weight), bias = ownOf(layer.bias), input = shapes.get(layer.input), output = shapes.get(layer.output);
    const layout = weight && input && output && layer.groups === 1 ? rowLayout(layer, input, output, weight.dims, samples) : undefined;
    return layout ? [{ layer, layout, weight: weight!, bias: bias?.length === layout.outs ? bias : undefined }] : [];
  });
  const moments = await inputMoments(model, requests, feeds, options), found: WhitenedLayer[] = [];
  for (const [i, request] of requests.entries()) found.push(await whitened(request, moments[i]!));
  return found;
}

/** First and second moments of all layers' inputs, in one pass over the samples. */
async function inputMoments(model: Model, requests: readonly Request[], feeds: Readonly<Record<string, Tensor[]>>, options: { readonly threads: number; readonly seed: number; readonly signal?: AbortSignal }): Promise<Moments[]> {
  const chunks = Object.values(feeds)[0]!, found = requests.map(({ layout }): Moments => {
    const inputs = columnsOf(layout) - 1, each = Math.ceil(inputs / Math.ceil(inputs / mostColumns));
    return { rows: 0, sums: new Float64Array(inputs), blocks: Array.from({ length: Math.ceil(inputs / each) }, (_, i) => ({ from: i * each, width: Math.min(each, inputs - i * each) })).map((block) => ({ ...block, gram: new Float64Array(block.width ** 2) })) };
  });
  let chunk = 0;
  for await (const values of runChunks(model, feeds, (next) => (next < chunks.length ? requests.filter((_, i) => found[i]!.rows < mostRows).map(({ layer }) => layer.input) : []), options)) {
    const samples = chunks[chunk]!.dims[0]!;
    for (const [i, { layer, layout }] of requests.entries()) {
      const own = found[i]!, columns = columnsOf(layout);
      if (own.rows >= mostRows) continue;
      const positions = samplePositions(layout.positions, samples, points, options.seed + i * 7919 + chunk * 104729), [rows] = inputRows(layout, values[layer.input]!.data as Float32Array, samples, positions);
      for (let at = 0; at < rows!.length; at += columns) for (let c = 0; c < columns - 1; c++) own.sums[c]! += rows![at + c]!;
      for (const { from, width, gram } of own.blocks) await addGram(gram, columnsFrom(rows!, positions.length, columns, from, from + width), positions.length, width);
      own.rows += positions.length;
    }
    chunk++;
  }
  for (const { blocks } of found) for (const { gram, width } of blocks) mirror(gram, width);
  return found;
}

async function whitened({ weight, bias, layout }: Request, moments: Moments): Promise<WhitenedLayer> {
  const inputs = columnsOf(layout) - 1, { outs } = layout, mean = Float32Array.from(moments.sums, (sum) => (bias ? sum / moments.rows : 0)), blocks: WhitenedBlock[] = [];
  const values = rowsOf(weight, layout), squares = new Float64Array(outs);
  for (const { from, width, gram } of moments.blocks) {
    const covariance = gram.map((sum, i) => sum / moments.rows - mean[from + Math.floor(i / width)]! * mean[from + (i % width)]!), part = new Float64Array(width * outs), identity = new Float64Array(width * width);
    let trace = 0, power = 0;
    for (let r = 0; r < width; r++) { trace += covariance[r * width + r]!; power += gram[r * width + r]! / moments.rows; }
    for (let r = 0; r < width; r++) {
      covariance[r * width + r]! += Math.max(1e-12, damping * trace / width, rounding * power);
      identity[r * width + r] = 1;
      for (let o = 0; o < outs; o++) part[r * outs + o] = values[o * inputs + from + r]!;
    }
    const half = await product(covariance, part, width, width, outs), factor = await CholeskyFactor.of(covariance, width), own = await factor.forward(half, outs); // Vᵀ = Kᵀ Wᵀ = K⁻¹ (K Kᵀ) Wᵀ
    own.forEach((v, i) => { squares[i % outs]! += v * v; });
    blocks.push({ from, width, inverse: Float32Array.from(await factor.forward(identity, width)) });
  }
  return { weight, bias, outs, inputs, taps: layout.taps, mean, blocks, sizes: Float32Array.from(squares, (sum) => Math.sqrt(sum / inputs)) };
}

/** Weights as [outs, inputs]: they are so, or [channels, outs, taps]. */
function rowsOf({ tensor, outAxis }: Parameter, { outs, channels, taps }: RowLayout): Float32Array {
  const values = floatsOf(tensor), inputs = channels * taps;
  return outAxis === 0 ? values : Float32Array.from(values, (_, i) => { const column = i % inputs; return values[(Math.floor(column / taps) * outs + Math.floor(i / inputs)) * taps + (column % taps)]!; });
}

/** Appends what turns gradients by weights into gradients by V and v. @param vector of all parameters @param kept zeros for weights that stay zero, ones for others @returns another vector */
export const appendToWhitened = (build: GraphBuilder, vector: string, parameters: readonly Parameter[], layers: readonly WhitenedLayer[], kept?: string): string =>
  appendMapped(build, vector, parameters, layers, kept, (layer, weight, bias, ones) => {
    const { outs, inputs, mean, blocks } = layer, rows = appendRows(build, layer, weight);
    const centred = bias === undefined ? rows : build.sub(rows, build.mul(build.reshape(bias, [outs, 1]), build.floats([1, inputs], mean)));
    return { weight: build.reshape(appendBlocks(build, ones === undefined ? centred : build.mul(centred, appendRows(build, layer, ones)), blocks, 1), [outs * inputs]), bias };
  });

/** Appends what turns steps of V and v into steps of weights and biases. @param vector of all parameters @param kept @see appendToWhitened @returns another vector */
export const appendToWeights = (build: GraphBuilder, vector: string, parameters: readonly Parameter[], layers: readonly WhitenedLayer[], kept?: string): string =>
  appendMapped(build, vector, parameters, layers, kept, (layer, weight, bias, ones) => {
    const { outs, inputs, taps, mean, blocks, weight: { outAxis } } = layer, whole = appendBlocks(build, build.reshape(weight, [outs, inputs]), blocks, 0), rows = ones === undefined ? whole : build.mul(whole, appendRows(build, layer, ones));
    return {
      weight: build.reshape(outAxis === 0 ? rows : swapped(build, rows, [outs, inputs / taps, taps]), [outs * inputs]),
      bias: bias && build.sub(bias, build.reshape(build.op('MatMul', [rows, build.floats([inputs, 1], mean)]), [outs])),
    };
  });

/** A layer's part of a vector as [outs, inputs]. */
const appendRows = (build: GraphBuilder, { outs, inputs, taps, weight: { outAxis } }: WhitenedLayer, part: string): string =>
  build.reshape(outAxis === 0 ? part : swapped(build, part, [inputs / taps, outs, taps]), [outs, inputs]);
/** A tensor of these dims with its first two axes exchanged. */
const swapped = (build: GraphBuilder, tensor: string, dims: readonly [number, number, number]): string => build.transpose(build.reshape(tensor, dims), [1, 0, 2]);

/** Every block of a matrix [outs, inputs] times its K⁻¹, or its transpose. */
function appendBlocks(build: GraphBuilder, matrix: string, blocks: readonly WhitenedBlock[], transB: 0 | 1): string {
  const parts = build.split(matrix, 1, blocks.map(({ width }) => width));
  return build.concat(blocks.map(({ width, inverse }, i) => build.op('Gemm', [parts[i]!, build.floats([width, width], inverse)], { transB })), 1);
}

/** Cuts the vector into its tensors, maps those of the layers, and puts all together again. */
function appendMapped(build: GraphBuilder, vector: string, parameters: readonly Parameter[], layers: readonly WhitenedLayer[], kept: string | undefined, map: (layer: WhitenedLayer, weight: string, bias: string | undefined, ones: string | undefined) => { weight: string; bias: string | undefined }): string {
  const cut = (whole: string): string[] => build.split(whole, 0, parameters.map(({ length }) => length)), pieces = cut(vector), ones = kept === undefined ? [] : cut(kept), at = new Map(parameters.map(({ name }, i) => [name, i]));
  for (const layer of layers) {
    const weightAt = at.get(layer.weight.name)!, biasAt = layer.bias && at.get(layer.bias.name)!, mapped = map(layer, pieces[weightAt]!, biasAt === undefined ? undefined : pieces[biasAt]!, ones[weightAt]);
    pieces[weightAt] = mapped.weight;
    if (biasAt !== undefined) pieces[biasAt] = mapped.bias!;
  }
  return build.concat(pieces, 0);
}
