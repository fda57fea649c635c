import type { GraphProto, ModelProto } from 'onnx-buf';
import { valueInfo } from '../onnx/buildModel.ts';
import { GraphBuilder } from '../onnx/graphBuilder.ts';
import { GraphView } from '../onnx/graphView.ts';
import { KeptPositions } from '../pruning/keptPositions.ts';
import type { Analysis, KeptUnits } from '../pruning/types.ts';

type Model = ModelProto & { graph: GraphProto };

/** A value that a compressed network should have in common with the original: the original's at the positions that are left. */
export interface Feature {
  /** Its name in both graphs. */
  readonly value: string;
  /** Kept positions by axis, ascending; undefined where all are. */
  readonly kept: readonly (Int32Array | undefined)[];
  /** Float32 elements of the compressed network's value a sample. */
  readonly elements: number;
}

/** What leaves a value's axes as they are, between a layer and the one that reads it. */
const passing = new Set(['Identity', 'BatchNormalization', 'Add', 'Relu', 'Clip', 'LeakyRelu', 'Sigmoid', 'HardSigmoid', 'HardSwish', 'Gelu']);

/**
 * What the last layers before the answer give, behind their activations: by it a compressed network learns from the original with more than the answers
 * (hints of Romero et al. 2015, arXiv 1412.6550; with as many channels as are left, since those stand for the same channels as before).
 * Only values whose first axis runs over samples are taken, and none whose sizes depend on what the data hold.
 * @param compressed the network after surgery with `kept`
 */
export function lastFeatures(compressed: Model, analysis: Analysis, kept: KeptUnits, count = 2): Feature[] {
  const { axes, view, known } = analysis.structure.facts, positions = new KeptPositions(analysis, kept), produced = new GraphView(compressed.graph).producers;
  const samples = axes.shapeOf(view.inputs[0]!)?.[0];
  const order = new Map(view.nodes.map((node, i) => [node, i])), found = new Map<string, Feature>();
  for (const { output } of [...analysis.layers].sort((a, b) => order.get(b.node)! - order.get(a.node)!)) {
    const value = activated(view, output), shape = axes.shapeOf(value);
    if (found.size === count) break;
    if (!shape || shape.length < 2 || shape[0] !== samples || view.isOutput(value) || !known.shapes.has(value) || !produced.has(value) || found.has(value)) continue;
    const left = axes.axesOf(value).map((axis, i) => (i === 0 ? undefined : positions.of(axis)));
    found.set(value, { value, kept: left, elements: shape.slice(1).reduce((product, size, i) => product * (left[i + 1]?.length ?? size), 1) });
  }
  return [...found.values()];
}

/** The value that a layer's output becomes before anything else reads it. */
function activated(view: GraphView, output: string): string {
  for (let value = output; ;) {
    const [use, another] = view.usesOf(value);
    if (!use || another || view.isOutput(value) || !passing.has(use.node.opType)) return value;
    value = use.node.output[0]!;
  }
}

/** The model's outputs of these names as they are: what is to be learnt of a network that is no classifier. */
export const outputFeatures = (analysis: Analysis, names: readonly string[]): Feature[] => names.map((value) => {
  const shape = analysis.structure.facts.axes.shapeOf(value);
  return { value, kept: [], elements: shape ? shape.slice(1).reduce((a, b) => a * b, 1) : Infinity };
});

/** The model with the features' positions as outputs beside `outputs`. @returns it, and the names of these outputs in the features' order */
export function withFeatures(model: Model, outputs: readonly string[], features: readonly Feature[]): { model: Model; names: string[] } {
  const build = new GraphBuilder({ ...model, graph: { ...model.graph, output: [] } });
  const names = features.map(({ value, kept }) => kept.reduce((at, positions, axis) => (positions ? build.op('Gather', [at, build.ints([...positions])], { axis }) : at), value)), made = build.model();
  return { model: { ...made, graph: { ...made.graph, output: [...outputs, ...names].map((name) => valueInfo(name)) } }, names };
}
