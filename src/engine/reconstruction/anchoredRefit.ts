import { LRUCache } from 'lru-cache';
import type { GraphProto, ModelProto, TensorProto } from 'onnx-buf';
import { GraphView } from '../onnx/graphView.ts';
import { dimsOf, withFloats } from '../onnx/tensor.ts';
import { KeptPositions, orderOfLeaving } from '../pruning/keptPositions.ts';
import { maskConsumers } from '../pruning/mask.ts';
import type { PlanChoice } from '../pruning/plan.ts';
import { zeroSmallest } from '../pruning/zeroSmallest.ts';
import { StagedNetwork } from '../runtime/stagedNetwork.ts';
import { type RowLayout, columnsOf, inputRows, outputRows } from './layerRows.ts';
import { tensorsFromMatrices, weightMatrices } from './layerWeights.ts';
import { type Aim, addRidge, aimed, gramOf, rightSide } from './leastSquares.ts';
import { outputSink } from './outputSink.ts';
import { type RefitLayer, type RefitTargets, joined, withBiases } from './refitTargets.ts';
import type { RefitOptions } from './sequentialRefit.ts';
import { sparseRegression } from './sparseRegression.ts';
import { anyRegression, nestedRegression } from './subsetRegression.ts';

type Model = ModelProto & { graph: GraphProto };

/** What a candidate leaves of a layer: input and output channels, ascending (all when absent), and a share of its weights. */
interface LayerChoice { readonly keptIn: Int32Array | undefined; readonly keptOut?: Int32Array | undefined; readonly density: number }

/** A layer and how it is refitted in the anchor's network, all its input and output channels present there. */
interface AnchoredLayer { readonly refit: RefitLayer; /** @returns float32 [kept columns, kept outs] */ readonly solve: (choice: LayerChoice) => Promise<Float32Array> }

/** The weights that a layer of a candidate gets; a bias alone where it has nothing left to read. */
interface RefittedTensors { readonly weight: TensorProto | undefined; readonly bias: TensorProto | undefined }

/** Refitted weights that are kept for the next candidates of the same widths: so many bytes, and so many times the network's own; so few that they are reached early in a run. */
const keptBytes = 1e7, keptTimes = 4;

/**
 * Refits candidates near one choice, the anchor, at the cost of gathers. The anchor's network is refitted sequentially in the original's shape
 * (its consumers ignore what is dropped, but everything is computed), so that every layer's regression is known for all its channels, with
 * the errors that pruning upstream brings, and with the outputs that the activation lets the anchor aim at. A candidate's layer is then a regression on
 * a subset of columns, whose solution depends only on which inputs are kept; output channels are picked from it. Where single weights go, it is that regression with a share of them.
 * A candidate far from the anchor has other errors upstream than its fits assume, and scores lower than it would.
 */
export class AnchoredRefit {
  private readonly targets: RefitTargets;
  private readonly layers: readonly AnchoredLayer[];
  private readonly names: ReadonlySet<string>;
  /** Weights by layer, kept inputs, kept outputs and share. */
  private readonly tensors: LRUCache<string, RefittedTensors>;

  private constructor(targets: RefitTargets, layers: readonly AnchoredLayer[]) {
    this.targets = targets;
    this.layers = layers;
    const own = layers.reduce((sum, { refit: { layout } }) => sum + 4 * columnsOf(layout) * layout.outs, 0);
    this.tensors = new LRUCache({ maxSize: keptBytes + keptTimes * own, sizeCalculation: ({ weight, bias }) => (weight?.rawData.length ?? 0) + (bias?.rawData.length ?? 0) });
    this.names = new Set(layers.map(({ refit: { layer } }) => layer.weight));
  }

  /**
   * @param anchor the choice around which candidates will be
   * @param orders units of each group in the order in which every candidate gives them up, the first to go first
   */
  static async prepare(original: Model, { kept: anchor, densities }: PlanChoice, orders: ReadonlyMap<string, readonly number[]>, targets: RefitTargets, options: RefitOptions): Promise<AnchoredRefit> {
    const { feeds, analysis, images, session } = targets, positions = new KeptPositions(analysis, anchor), { axes } = analysis.structure.facts;
    const { model, biases } = withBiases(maskConsumers(original, analysis, anchor), targets.layers.map(({ layer }) => layer));
    const view = new GraphView(model.graph), network = new StagedNetwork(model, view, feeds, session, targets.layers[0]?.sampled.length), layers: AnchoredLayer[] = [];
    const constants = new GraphView(original.graph).constants;
    for (const refit of targets.layers) {
      options.signal?.throwIfAborted();
      const { layer, layout, sampled, wanted } = refit, biasName = biases.get(layer) ?? layer.bias;
      const bias = network.initializers.get(biasName);
      if (layout.groups > 1 || !network.initializers.has(layer.weight) || (biasName !== '' && !bias)) continue;
      const fittedLayer = { ...layer, bias: biasName }, { outs } = layout;
      const sink = outputSink(view, network.initializers, fittedLayer, outs, (shortcut) => shortcut === refit.residual);
      if (sink.target !== refit.target) continue;
      await network.admit(sampled.length);
      const [inputs, residuals] = await network.advance([layer.input, ...(sink.residual === undefined ? [] : [sink.residual])]);
      const aim = aimed(joined(inputs!.map((input, i) => ({
        inputs: inputRows(layout, input.data as Float32Array, images, sampled[i]!)[0]!, target: wanted[i]!,
        ...(residuals ? { residual: outputRows(layout, residuals[i]!.data as Float32Array, images, sampled[i]!) } : {}),
      }))), outs, sink.transform);
      const present = weightMatrices(fittedLayer, layout, constants.get(layer.weight)!, constants.get(layer.bias))[0]!;
      const density = densities.get(layer.weight), inputAxis = axes.axis(layer.weight, layer.inAxis), own: LayerChoice = { keptIn: positions.of(inputAxis), density: density ?? 1 };
      const solve = density === undefined ? await channelSolver(aim, layout, present, orderOfLeaving(analysis, inputAxis, orders), own, options)
        : await weightSolver(aim, layout, present, density, options);
      const whole = spread(await solve(own), own.keptIn, layout);
      if (!whole.every(Number.isFinite)) continue;
      layers.push({ refit, solve });
      const tensors = tensorsFromMatrices(fittedLayer, layout, [whole], network.initializers.get(layer.weight)!, biasName);
      network.initializers.set(layer.weight, tensors.weight);
      if (bias) network.initializers.set(biasName, { ...tensors.bias, dims: bias.dims });
    }
    return new AnchoredRefit(targets, layers);
  }

  /** Weights that every refit sets. */
  get replaced(): ReadonlySet<string> { return this.names; }

  /** @param pruned the model after surgery with `kept`; `replaced` weights may be without values */
  async refit(pruned: Model, { kept, densities }: PlanChoice): Promise<Model> {
    const { analysis } = this.targets, positions = new KeptPositions(analysis, kept), { axes } = analysis.structure.facts;
    const { model, biases } = withBiases(pruned, this.targets.layers.map(({ layer }) => layer)), replaced = new Map<string, TensorProto>();
    const present = new Map(model.graph.initializer.map((tensor) => [tensor.name, tensor]));
    for (const anchored of this.layers) {
      const { layer } = anchored.refit, biasName = biases.get(layer) ?? layer.bias, weight = present.get(layer.weight), bias = present.get(biasName);
      if (!weight && biasName !== layer.biased) continue;
      if (biasName !== '' && !bias) throw new Error(`the layer ${layer.name} has lost its bias "${biasName}"`);
      const choice: LayerChoice = { keptIn: positions.of(axes.axis(layer.weight, layer.inAxis)), keptOut: positions.of(axes.axis(layer.weight, layer.outAxis)), density: densities.get(layer.weight) ?? 1 };
      const tensors = await this.tensorsOf(anchored, { weight, bias }, choice);
      if (tensors.weight) replaced.set(layer.weight, tensors.weight);
      if (tensors.bias) replaced.set(biasName, tensors.bias);
    }
    const refitted = { ...model, graph: { ...model.graph, initializer: model.graph.initializer.map((tensor) => replaced.get(tensor.name) ?? tensor) } };
    return zeroSmallest(refitted, new Map([...densities].filter(([weight]) => !this.names.has(weight))));
  }

  /** @param cut the layer's tensors after surgery, of which names and shapes count */
  private async tensorsOf({ refit: { layer, layout }, solve }: AnchoredLayer, cut: RefittedTensors, choice: LayerChoice): Promise<RefittedTensors> {
    const { keptIn, keptOut, density } = choice, key = `${layer.weight} ${keptIn?.join() ?? 'all'} ${keptOut?.join() ?? 'all'} ${density}`, known = this.tensors.get(key);
    if (known) return known;
    const matrix = await solve(choice);
    if (!cut.weight) {
      const answer: RefittedTensors = { weight: undefined, bias: withFloats(cut.bias!, dimsOf(cut.bias!), matrix) };
      this.tensors.set(key, answer);
      return answer;
    }
    const narrow = { ...layout, channels: keptIn?.length ?? layout.channels, outs: keptOut?.length ?? layout.outs };
    const { weight, bias } = tensorsFromMatrices(layer, narrow, [matrix], cut.weight, cut.bias?.name ?? ''), made: RefittedTensors = { weight, bias: cut.bias && { ...bias, dims: cut.bias.dims } };
    this.tensors.set(key, made);
    return made;
  }
}

/** Refits for any choice of channels, with what the activation cuts in the anchor's network. */
async function channelSolver(aim: Aim, layout: RowLayout, present: Float32Array, order: ArrayLike<number> | undefined, { keptIn }: LayerChoice, { rounds, ridge: relativeRidge }: RefitOptions): Promise<AnchoredLayer['solve']> {
  const columns = columnsOf(layout), gram = await gramOf([aim], columns), ridge = addRidge(gram, columns, relativeRidge);
  const regression = order ? await nestedRegression(gram, layout, order) : anyRegression(gram, layout);
  let whole: Float32Array | undefined;
  for (let round = 0; round <= rounds; round++) {
    if (round > 0) whole = spread(await regression.solve(keptIn), keptIn, layout);
    await regression.aim(await rightSide([aim], columns, layout.outs, present, ridge, whole));
  }
  return ({ keptIn: inputs, keptOut }) => regression.solve(inputs, keptOut);
}

/** Refits for any share of the weights, likewise. */
async function weightSolver(aim: Aim, layout: RowLayout, present: Float32Array, density: number, options: RefitOptions): Promise<AnchoredLayer['solve']> {
  const regression = await sparseRegression([aim], columnsOf(layout), layout.outs, present, { ...options, density });
  return (choice) => regression.solve(choice.density);
}

/** A refitted matrix with zeros for the columns of channels that are gone. @returns float32 [columns, outs] */
function spread(fitted: Float32Array, keptIn: Int32Array | undefined, { channels, taps, outs }: RefitLayer['layout']): Float32Array {
  if (!keptIn) return fitted;
  const whole = new Float32Array((channels * taps + 1) * outs), block = taps * outs;
  keptIn.forEach((channel, i) => { whole.set(fitted.subarray(i * block, (i + 1) * block), channel * block); });
  whole.set(fitted.subarray(keptIn.length * block), channels * block);
  return whole;
}
