import type { GraphProto, ModelProto, TensorProto } from 'onnx-buf';
import { GraphView } from '../onnx/graphView.ts';
import { KeptPositions } from '../pruning/keptPositions.ts';
import { maskConsumers } from '../pruning/mask.ts';
import type { KeptUnits } from '../pruning/types.ts';
import { StagedNetwork } from '../runtime/stagedNetwork.ts';
import { type RowLayout, columnsOf, inputRows, outputRows } from './layerRows.ts';
import { tensorsFromMatrices, weightMatrices } from './layerWeights.ts';
import { type OutputTransform, type RegressionChunk, fitWeights, gramOf } from './leastSquares.ts';
import { outputSink } from './outputSink.ts';
import { type RefitLayer, type RefitTargets, joined, pickColumns, withBiases } from './refitTargets.ts';
import type { RefitOptions } from './sequentialRefit.ts';

type Model = ModelProto & { graph: GraphProto };

/** The regression of one layer in the anchor's network, all its input and output channels present. */
interface AnchoredLayer {
  readonly refit: RefitLayer;
  readonly chunk: RegressionChunk;
  readonly transform: OutputTransform;
  /** float32 [columns, outs], the original's. */
  readonly present: Float32Array;
  /** XᵀX of all input channels, of which every width takes its part; absent for layers so wide that it would not be worth the memory. */
  readonly gram: Float64Array | undefined;
  /** Refitted matrices [kept columns, outs] by the input channels that are kept. */
  readonly fits: Map<string, Promise<Float32Array>>;
}

/**
 * Refits candidates near one choice, the anchor, at the cost of gathers. The anchor's network is refitted sequentially in the original's shape
 * (its consumers ignore what is dropped, but everything is computed), so that every layer's regression is known for all its channels, with
 * the errors that pruning upstream brings. A candidate's layer is then a regression on a subset of columns, whose solution depends only
 * on which inputs are kept: it is solved once for each width and kept; output channels are picked from it.
 * A candidate far from the anchor has other errors upstream than its fits assume, and scores lower than it would.
 */
export class AnchoredRefit {
  private readonly targets: RefitTargets;
  private readonly options: RefitOptions;
  private readonly layers: readonly AnchoredLayer[];

  private constructor(targets: RefitTargets, options: RefitOptions, layers: readonly AnchoredLayer[]) {
    this.targets = targets;
    this.options = options;
    this.layers = layers;
  }

  /** @param anchor the choice around which candidates will be */
  static async prepare(original: Model, anchor: KeptUnits, targets: RefitTargets, options: RefitOptions): Promise<AnchoredRefit> {
    const { feeds, analysis, images, session } = targets, positions = new KeptPositions(analysis, anchor), { axes } = analysis.structure.facts;
    const { model, biases } = withBiases(maskConsumers(original, analysis, anchor), targets.layers.map(({ layer }) => layer));
    const view = new GraphView(model.graph), network = new StagedNetwork(model, view, feeds, session), layers: AnchoredLayer[] = [];
    const constants = new GraphView(original.graph).constants;
    for (const refit of targets.layers) {
      options.signal?.throwIfAborted();
      const { layer, layout, sampled, wanted } = refit, biasName = biases.get(layer) ?? layer.bias;
      const bias = network.initializers.get(biasName);
      if (layout.groups > 1 || !network.initializers.has(layer.weight) || !bias) continue;
      const fittedLayer = { ...layer, bias: biasName }, columns = columnsOf(layout);
      const sink = outputSink(view, network.initializers, fittedLayer, layout.outs, (shortcut) => shortcut === refit.residual);
      if (sink.target !== refit.target) continue;
      const [inputs, residuals] = await network.advance([layer.input, ...(sink.residual === undefined ? [] : [sink.residual])]);
      const chunk = joined(inputs!.map((input, i) => ({
        inputs: inputRows(layout, input.data as Float32Array, images, sampled[i]!)[0]!, target: wanted[i]!,
        ...(residuals ? { residual: outputRows(layout, residuals[i]!.data as Float32Array, images, sampled[i]!) } : {}),
      })));
      const present = weightMatrices(fittedLayer, layout, constants.get(layer.weight)!, constants.get(layer.bias))[0]!;
      const anchored: AnchoredLayer = { refit: { ...refit, layer: fittedLayer }, chunk, transform: sink.transform, present, gram: columns <= widestKept ? await gramOf([chunk], columns) : undefined, fits: new Map() };
      const keptIn = positions.of(axes.axis(layer.weight, layer.inAxis)), fitted = await fitOf(anchored, keptIn, options);
      if (!fitted.every(Number.isFinite)) continue;
      layers.push(anchored);
      const whole = new Float32Array(columns * layout.outs);
      columnsFor(layout, keptIn).forEach((column, i) => { whole.set(fitted.subarray(i * layout.outs, (i + 1) * layout.outs), column * layout.outs); });
      const tensors = tensorsFromMatrices(fittedLayer, layout, [whole], network.initializers.get(layer.weight)!, biasName);
      network.initializers.set(layer.weight, tensors.weight);
      network.initializers.set(biasName, { ...tensors.bias, dims: bias.dims });
    }
    return new AnchoredRefit(targets, options, layers);
  }

  /** @param pruned the model after surgery with `kept` */
  async refit(pruned: Model, kept: KeptUnits): Promise<Model> {
    const { analysis } = this.targets, positions = new KeptPositions(analysis, kept), { axes } = analysis.structure.facts;
    const { model } = withBiases(pruned, this.targets.layers.map(({ layer }) => layer)), replaced = new Map<string, TensorProto>();
    const present = new Map(model.graph.initializer.map((tensor) => [tensor.name, tensor]));
    for (const anchored of this.layers) {
      const { layer, layout } = anchored.refit, weight = present.get(layer.weight), bias = present.get(layer.bias);
      if (!weight || !bias) continue;
      const keptIn = positions.of(axes.axis(layer.weight, layer.inAxis)), keptOut = positions.of(axes.axis(layer.weight, layer.outAxis));
      const matrix = pickColumns(await fitOf(anchored, keptIn, this.options), layout.outs, keptOut);
      const narrow = { ...layout, channels: keptIn?.length ?? layout.channels, outs: keptOut?.length ?? layout.outs };
      const tensors = tensorsFromMatrices(layer, narrow, [matrix], weight, layer.bias);
      replaced.set(layer.weight, tensors.weight);
      replaced.set(layer.bias, { ...tensors.bias, dims: bias.dims });
    }
    return { ...model, graph: { ...model.graph, initializer: model.graph.initializer.map((tensor) => replaced.get(tensor.name) ?? tensor) } };
  }
}

/** Columns up to which a layer's whole Gram matrix is kept (46 MB). */
const widestKept = 2400;

/** Columns of a regression that belong to the kept input channels, the constant one included. */
function columnsFor(layout: RowLayout, keptIn: ArrayLike<number> | undefined): number[] {
  const { taps, channels } = layout;
  return [...Array.from(keptIn ?? { length: channels }, (channel, i) => channel ?? i).flatMap((channel) => Array.from({ length: taps }, (_, tap) => channel * taps + tap)), channels * taps];
}

function fitOf({ refit: { layout }, chunk, transform, present, gram, fits }: AnchoredLayer, keptIn: ArrayLike<number> | undefined, options: RefitOptions): Promise<Float32Array> {
  const key = keptIn ? Array.from(keptIn).join() : '';
  const known = fits.get(key);
  if (known) return known;
  const columns = columnsFor(layout, keptIn), { outs } = layout, start = new Float32Array(columns.length * outs);
  columns.forEach((column, i) => { start.set(present.subarray(column * outs, (column + 1) * outs), i * outs); });
  const part = gram && new Float64Array(columns.length ** 2), width = columnsOf(layout);
  if (part) columns.forEach((row, i) => { columns.forEach((column, j) => { part[i * columns.length + j] = gram[row * width + column]!; }); });
  const fitted = fitWeights([{ ...chunk, inputs: pickColumns(chunk.inputs, width, keptIn && columns) }], columns.length, outs, start, transform, { ...options, bias: true, ...(part ? { gram: part } : {}) });
  fits.set(key, fitted);
  return fitted;
}
