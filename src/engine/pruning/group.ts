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
  /** Whether it may lose all its units: what reads them is a branch beside a shortcut, which then goes as a whole. */
  readonly removable: boolean;
}
