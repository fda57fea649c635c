import type { GraphProto, ModelProto, TensorProto } from 'onnx-buf';
import { GraphView } from '../onnx/graphView.ts';
import { dimsOf, floatsOf, withFloats } from '../onnx/tensor.ts';
import { KeptPositions } from '../pruning/keptPositions.ts';
import type { KeptUnits, Layer } from '../pruning/types.ts';
import { zeroSmallest } from '../pruning/zeroSmallest.ts';
import { StagedNetwork } from '../runtime/stagedNetwork.ts';
import { type RowLayout, columnsOf, inputRows, outputRows } from './layerRows.ts';
import { fitSparse } from './fitSparse.ts';
import { tensorsFromMatrices, weightMatrices } from './layerWeights.ts';
import { type RegressionChunk, aimed, fitWeights } from './leastSquares.ts';
import { outputSink } from './outputSink.ts';
import { type RefitLayer, type RefitTargets, blockRows, joined, pickColumns, withBiases } from './refitTargets.ts';

type Model = ModelProto & { graph: GraphProto };

export interface RefitOptions {
  /** Activation-aware rounds after the first fit of each layer. */
  readonly rounds: number;
  /** Pull towards the weights before, relative to the mean diagonal of the Gram matrix. */
  readonly ridge: number;
  /** Whether grouped convolutions are refitted as well (depthwise ones are not: thousands of tiny regressions that gain nothing measurable). */
  readonly grouped: boolean;
  /** Share of the weights that stay, for layers that are pruned weight by weight, by the name of their weight. */
  readonly densities?: ReadonlyMap<string, number>;
  readonly signal?: AbortSignal;
  /** Told of each layer that has fitted weights now. */
  readonly fitted?: (layer: Layer) => void;
}

/** Kept positions of an axis of a constant tensor; undefined where all stay. */
type KeptOf = (initializer: string, axis: number) => ArrayLike<number> | undefined;

/**
 * Sequential least-squares reconstruction (He, Zhang, Sun 2017): layers are refitted from input to output; inputs come from the network as
 * pruned and refitted so far, targets from the original network. Where a layer's output is added to a shortcut, the target is the
 * original sum less the pruned shortcut. Unpruned layers behind pruned ones are refitted as well. Where a fit fails, a layer keeps its weights, the largest of them where it is to be thinned out.
 * @param pruned the model after surgery with `kept`; its values have the names of the original's
 */
export async function sequentialRefit(pruned: Model, kept: KeptUnits, { feeds, layers, analysis, images, session }: RefitTargets, options: RefitOptions): Promise<Model> {
  const positions = new KeptPositions(analysis, kept), { axes } = analysis.structure.facts;
  const keptOf: KeptOf = (initializer, axis) => positions.of(axes.axis(initializer, axis));
  const { model, biases } = withBiases(pruned, layers.map(({ layer }) => layer));
  const view = new GraphView(model.graph), network = new StagedNetwork(model, view, feeds, session, layers[0]?.sampled.length);
  const left = new Map(options.densities);
  let changed = false;
  for (const refit of layers) {
    options.signal?.throwIfAborted();
    const thinned = (options.densities?.get(refit.layer.weight) ?? 1) < 1;
    changed ||= thinned || touches(keptOf, refit.layer);
    if (!changed || (refit.layout.groups > 1 && !thinned && (!options.grouped || refit.layout.channels === 1))) continue;
    if (await refitLayer(refit, network, view, biases.get(refit.layer) ?? refit.layer.bias, keptOf, images, options)) {
      left.delete(refit.layer.weight);
      options.fitted?.(refit.layer);
    }
  }
  const { initializers } = network;
  return zeroSmallest({ ...model, graph: { ...model.graph, initializer: model.graph.initializer.map((tensor) => initializers.get(tensor.name) ?? tensor) } }, left);
}

/** @returns whether the layer has fitted weights now */
async function refitLayer(refit: RefitLayer, network: StagedNetwork, view: GraphView, biasName: string, keptOf: KeptOf, images: number, options: RefitOptions): Promise<boolean> {
  const { layer, sampled, wanted } = refit;
  const weight = network.initializers.get(layer.weight), bias = network.initializers.get(biasName);
  if (biasName === '' ? !weight : !bias || (!weight && biasName !== layer.biased)) return false;
  // a layer with nothing left to read is a regression on the constant column alone
  const layout = weight ? prunedLayout(refit.layout, layer, weight) : { ...refit.layout, channels: 0, outs: floatsOf(bias!).length, constant: 1 as const }, columns = columnsOf(layout), { outs } = layout;
  const keptOut = keptOf(layer.weight, layer.outAxis);
  const prunedLayer = { ...layer, bias: biasName, ...(weight ? {} : { output: layer.biased }) };
  const sink = outputSink(view, network.initializers, prunedLayer, layout.groups * outs, (shortcut) => shortcut === refit.residual);
  if (sink.target !== refit.target) return false; // surgery changed what follows; leave the layer as it is
  await network.admit(sampled.length);
  const read = await network.advance([...(weight ? [layer.input] : []), ...(sink.residual === undefined ? [] : [sink.residual])]);
  const inputs = weight ? read[0]!.map(({ data }) => data as Float32Array) : sampled.map(() => new Float32Array(0)), residuals = sink.residual === undefined ? undefined : read.at(-1);
  const present = weight ? weightMatrices(prunedLayer, layout, weight, bias) : [floatsOf(bias!)];
  const groupChunks = present.map((): RegressionChunk[][] => []);
  const all = layout.groups * outs, channelsOf = (group: number): number[] | undefined => (layout.groups === 1 ? undefined : Array.from({ length: outs }, (_, o) => group * outs + o));
  inputs.forEach((input, chunk) => {
    const target = pickColumns(wanted[chunk]!, refit.layout.groups * refit.layout.outs, keptOut);
    const residual = residuals && outputRows(layout, residuals[chunk]!.data as Float32Array, images, sampled[chunk]!);
    inputRows(layout, input, images, sampled[chunk]!).forEach((rows, group) => {
      const part = { inputs: rows, target: pickColumns(target, all, channelsOf(group)), ...(residual ? { residual: pickColumns(residual, all, channelsOf(group)) } : {}) };
      const blocks = groupChunks[group]!, last = blocks.at(-1);
      if (last && last.reduce((sum, each) => sum + each.inputs.length, 0) + rows.length <= blockRows * columns) last.push(part); else blocks.push([part]);
    });
  });
  const fitted: Float32Array[] = [];
  for (const [group, blocks] of groupChunks.entries()) {
    const { scale, shift, low, high } = sink.transform, from = group * outs, density = options.densities?.get(layer.weight) ?? 1;
    const transform = { scale: scale.subarray(from, from + outs), shift: shift.subarray(from, from + outs), low, high }, aims = blocks.map((parts) => aimed(joined(parts.splice(0)), outs, transform));
    fitted.push(density < 1 ? await fitSparse(aims, columns, outs, present[group]!, { ...options, density }) : await fitWeights(aims, columns, outs, present[group]!, options));
  }
  if (!fitted.every((matrix) => matrix.every(Number.isFinite))) return false;
  if (!weight) { network.initializers.set(biasName, withFloats(bias!, dimsOf(bias!), fitted[0]!)); return true; }
  const tensors = tensorsFromMatrices(prunedLayer, layout, fitted, weight, biasName);
  network.initializers.set(layer.weight, tensors.weight);
  if (bias) network.initializers.set(biasName, { ...tensors.bias, dims: bias.dims });
  return true;
}

/** Whether the candidate removes anything from the layer's own weight. */
const touches = (keptOf: KeptOf, layer: Layer): boolean => [0, 1].some((axis) => keptOf(layer.weight, axis) !== undefined);

function prunedLayout(layout: RowLayout, layer: Layer, weight: TensorProto): RowLayout {
  const dims = dimsOf(weight);
  if (layout.groups === 1) return { ...layout, channels: dims[layer.inAxis]!, outs: dims[layer.outAxis]! };
  const groups = layout.channels === dims[1] ? dims[0]! / layout.outs : layout.groups; // whole groups went, or the same positions of each
  return { ...layout, groups, channels: dims[1]!, outs: dims[0]! / groups };
}
