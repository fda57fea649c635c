import type { NodeProto } from 'onnx-buf';
import type { Structure } from './analysis.ts';

/** One axis of one constant tensor (an initializer, or a Constant node's output) that belongs to a pruning group. */
export interface AxisUse {
  /** Name of the initializer or of the Constant node's output. */
  readonly initializer: string;
  readonly axis: number;
  /** For each index along the axis, the unit of the group it belongs to; -1 where it belongs to none of this group's units. */
  readonly unitOf: Int32Array;
}

/**
 * Channels that can only be removed together across tensors. The group is made of `channels` units, numbered from 0; a unit is the
 * smallest thing that may be removed: one channel of a plain convolution, a whole head, a whole convolution group.
 */
export interface PruningGroup {
  /** Stable between runs on the same model, e.g. the name of the first producer's weight. */
  readonly id: string;
  /** For people, e.g. the first producing layer's name. */
  readonly name: string;
  readonly channels: number;
  /** Tensors whose rows make the units (weights, biases, normalisation parameters, depthwise kernels). */
  readonly producers: readonly AxisUse[];
  /** Tensors that read them. Zeroing the dropped indices of every consumer in the original model equals pruning. */
  readonly consumers: readonly AxisUse[];
}

/** A node with a constant weight that does multiply-accumulates: Conv, ConvTranspose, Gemm, MatMul, Einsum ... */
export interface Layer {
  readonly name: string;
  readonly node: NodeProto;
  readonly opType: string;
  /** Constant weight and bias (the bias may be a following Add's constant, as in MatMul + Add); '' where there is none. */
  readonly weight: string;
  readonly bias: string;
  /** Data input and output values (before a following bias Add). */
  readonly input: string;
  readonly output: string;
  /** Axis of the weight that runs over output channels, and over input channels (per group for grouped convolution). */
  readonly outAxis: number;
  readonly inAxis: number;
  /** Convolution groups; 1 otherwise. */
  readonly groups: number;
  /** Multiply-accumulates for one sample (batch 1). */
  readonly macs: number;
  readonly params: number;
}

/** Everything the search, the reconstruction and the reports need to know of a model's structure. */
export interface Analysis {
  readonly groups: readonly PruningGroup[];
  readonly frozen: readonly { readonly name: string; readonly reason: string }[];
  readonly layers: readonly Layer[];
  readonly macs: number;
  readonly params: number;
  /** The relations behind the groups, for surgery and cost counting. */
  readonly structure: Structure;
}

/** Kept units of each pruned group, sorted; groups that are absent keep everything. */
export type KeptUnits = ReadonlyMap<string, readonly number[]>;
