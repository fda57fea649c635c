/** Small networks for tests, written node by node with random weights. */
import assert from 'node:assert/strict';
import { create } from '@bufbuild/protobuf';
import { type GraphProto, type ModelProto, type NodeProto, OperatorSetIdProtoSchema, type TensorProto, type ValueInfoProto } from 'onnx-buf';
import { type AttributeValue, makeNode } from '../../../src/engine/onnx/attributes.ts';
import { buildModel, valueInfo } from '../../../src/engine/onnx/buildModel.ts';
import { DataType, dimsOf, floatTensor, int64Tensor } from '../../../src/engine/onnx/tensor.ts';
import { analyse } from '../../../src/engine/pruning/analysis.ts';
import { costs } from '../../../src/engine/pruning/costs.ts';
import { planFrom } from '../../../src/engine/pruning/plan.ts';
import { applyPlan } from '../../../src/engine/pruning/surgery.ts';
import type { Analysis, KeptUnits } from '../../../src/engine/pruning/types.ts';
import { syntheticInput } from '../../../src/engine/runtime/shapes.ts';
import { maskedModel, relativeDifference } from './maskedEquivalence.ts';

export type Model = ModelProto & { graph: GraphProto };

/** Uniform draws in [0, 1), the same for the same seed. */
export function randomNumbers(seed: number): () => number {
  let state = (seed ^ 0x9e3779b9) >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

export class Network {
  readonly nodes: NodeProto[] = [];
  readonly initializers: TensorProto[] = [];
  readonly inputs: ValueInfoProto[] = [];
  readonly outputs: ValueInfoProto[] = [];
  private readonly next: () => number;
  private names = 0;

  constructor(seed = 1) { this.next = randomNumbers(seed); }

  input(name: string, dims: readonly (number | string)[], elemType: number = DataType.FLOAT): string { this.inputs.push(valueInfo(name, dims, elemType)); return name; }
  output(...names: readonly string[]): this { for (const name of names) this.outputs.push(valueInfo(name)); return this; }
  /** A float constant with random values in [-scale, scale], around `mean`. */
  weight(dims: readonly number[], { scale = 0.5, mean = 0, name = `w${this.names++}` } = {}): string {
    const count = dims.reduce((a, b) => a * b, 1);
    this.initializers.push(floatTensor(name, dims, Float32Array.from({ length: count }, () => mean + scale * (2 * this.next() - 1))));
    return name;
  }
  ints(values: readonly number[], dims: readonly number[] = [values.length]): string {
    const name = `i${this.names++}`;
    this.initializers.push(int64Tensor(name, dims, values));
    return name;
  }
  op(opType: string, inputs: readonly string[], attributes: Readonly<Record<string, AttributeValue>> = {}): string { return this.ops(opType, inputs, 1, attributes)[0]!; }
  ops(opType: string, inputs: readonly string[], count: number, attributes: Readonly<Record<string, AttributeValue>> = {}): string[] {
    const id = this.names++, outputs = Array.from({ length: count }, (_, i) => `v${id}${i > 0 ? `_${i}` : ''}`);
    this.nodes.push(makeNode(opType, inputs, outputs, attributes, `${opType}_${id}`));
    return outputs;
  }
  /** A float constant with the given values. */
  floats(values: readonly number[], dims: readonly number[] = [values.length]): string {
    const name = `f${this.names++}`;
    this.initializers.push(floatTensor(name, dims, Float32Array.from(values)));
    return name;
  }
  scalar(value: number): string { return this.floats([value], []); }
  /** Nodes of com.microsoft, as onnxruntime writes them into optimised graphs. */
  microsoft(opType: string, inputs: readonly string[], attributes: Readonly<Record<string, AttributeValue>> = {}, count = 1): string[] {
    const outputs = this.ops(opType, inputs, count, attributes);
    this.nodes.at(-1)!.domain = 'com.microsoft';
    return outputs;
  }
  conv(x: string, inChannels: number, outChannels: number, kernel: readonly number[] = [1, 1], { groups = 1, bias = true } = {}): string {
    const inputs = [x, this.weight([outChannels, inChannels / groups, ...kernel]), ...(bias ? [this.weight([outChannels])] : [])];
    return this.op('Conv', inputs, { group: groups, pads: [...kernel, ...kernel].map((size) => (size - 1) / 2) });
  }
  linear(x: string, inFeatures: number, outFeatures: number): string { return this.op('Add', [this.op('MatMul', [x, this.weight([inFeatures, outFeatures])]), this.weight([outFeatures])]); }
  layerNorm(x: string, features: number): string { return this.op('LayerNormalization', [x, this.weight([features], { mean: 1 }), this.weight([features])], { axis: -1 }); }
  model(opset = 17): Model {
    return buildModel({ nodes: this.nodes, inputs: this.inputs, outputs: this.outputs, initializers: this.initializers, opsetImport: [['', opset], ['com.microsoft', 1]].map(([domain, version]) => create(OperatorSetIdProtoSchema, { domain: domain as string, version: BigInt(version!) })) });
  }
}

/** Random subsets of the units of every group; none of a third of the groups that can go as a whole. */
export function randomKept({ groups }: Analysis, seed: number, share = 0.6): KeptUnits {
  const next = randomNumbers(seed), gone = randomNumbers(seed + 1000);
  return new Map(groups.map(({ id, channels, removable }) => {
    if (removable && gone() < 1 / 3) return [id, []];
    const kept = Array.from({ length: channels }, (_, unit) => unit).filter(() => next() < share);
    return [id, kept.length > 0 ? kept : [Math.floor(next() * channels)]];
  }));
}

/**
 * Prunes to random kept sets and compares with the masked original, outputs and costs.
 * @param dims input shapes for the run, by input name; those that the model declares by default
 * @returns the analysis and the last pruned model
 */
export async function expectExactPruning(model: Model, dims: Readonly<Record<string, readonly number[]>>, seeds: readonly number[] = [1, 2]): Promise<{ analysis: Analysis; pruned: Model }> {
  const analysis = await analyse(model);
  const feeds = Object.fromEntries(model.graph.input.filter(({ name }) => name in dims).map((input) => [input.name, syntheticInput(input, dims[input.name]!)]));
  let pruned = model;
  for (const seed of seeds) {
    const kept = randomKept(analysis, seed);
    pruned = applyPlan(model, analysis, kept);
    const difference = await relativeDifference(maskedModel(model, planFrom(analysis, kept, { path: '', sha256: '' })), pruned, feeds);
    assert.ok(difference < 1e-3, `masked equivalence, seed ${seed}: ${difference}`);
    const again = await analyse(pruned);
    assert.deepEqual(costs(analysis, kept), { macs: again.macs, params: again.params });
  }
  return { analysis, pruned };
}

/** Prunes with kept sets and compares with the masked original on inputs of several shapes, which may be multiples of the made-up ones: pruning must hold for more than what the analysis has seen. */
export async function expectExactOn(
  model: Model, runs: readonly { readonly dims: Readonly<Record<string, readonly number[]>>; readonly scale?: number }[], kept: (analysis: Analysis) => KeptUnits = (analysis) => randomKept(analysis, 1),
): Promise<Analysis> {
  const analysis = await analyse(model), units = kept(analysis), pruned = applyPlan(model, analysis, units), masked = maskedModel(model, planFrom(analysis, units, { path: '', sha256: '' }));
  for (const { dims, scale = 1 } of runs) {
    const feeds = Object.fromEntries(model.graph.input.filter(({ name }) => name in dims).map((input) => [input.name, syntheticInput(input, dims[input.name]!)]));
    for (const { data } of Object.values(feeds)) if (data instanceof Float32Array) data.forEach((value, i) => { data[i] = scale * value; });
    const difference = await relativeDifference(masked, pruned, feeds);
    assert.ok(difference < 1e-3, `masked equivalence on ${JSON.stringify(dims)} times ${scale}: ${difference}`);
  }
  return analysis;
}

/** Names of all constants whose axis is made of a group's units. */
export const producersOf = ({ groups }: Analysis): string[] => [...new Set(groups.flatMap(({ producers }) => producers.map(({ initializer }) => initializer)))];
export const dimsByName = (model: Model): Map<string, number[]> => new Map(model.graph.initializer.map((tensor) => [tensor.name, dimsOf(tensor)]));
