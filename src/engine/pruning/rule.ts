import type { NodeProto } from 'onnx-buf';
import type { Adjustment } from './adjustment.ts';
import type { NodeAxes } from './nodeAxes.ts';
import type { AxisId } from './axes.ts';

/**
 * When an output is zero along a dropped position:
 * 'every': every input reaches the output axis and is zero there (Add); 'linked': every input that reaches it is (movement);
 * 'any': one of them is (Mul); a list: those inputs, where given, reach it and are zero (a convolution's weight and bias);
 * 'always': it is zero anyway.
 */
export type ZeroRule = 'every' | 'linked' | 'any' | 'always' | readonly number[];

/** What an operator does to axes, and how its node changes when positions are removed. One rule an operator, in a file a family. */
export interface Rule {
  /** Writes the relations between the axes of the node's inputs and outputs; what can't be said is frozen with a reason. */
  readonly relate: (node: NodeAxes) => void;
  /** Absent: the output is never known to be zero. A function where that depends on the node's attributes or constants. */
  readonly zeros?: ZeroRule | ((node: NodeAxes) => ZeroRule | undefined);
  /** Changes what the node states in numbers (groups, sizes, positions). Called when a position of one of its axes is dropped. */
  readonly rewrite?: (node: NodeAxes, edit: NodeEdit) => void;
}

/** One node being rewritten for one set of kept positions. */
export interface NodeEdit {
  /** Kept positions along an axis; undefined where all are kept. */
  kept(axis: AxisId): Int32Array | undefined;
  /** Size after pruning. */
  size(axis: AxisId): number;
  /** A copy of the node, the same at every call, to be changed freely; it replaces the node. */
  node(): NodeProto;
  /** Nodes to stand in front of and behind it. */
  readonly before: NodeProto[];
  readonly after: NodeProto[];
  /** Replaces an integer input by constant values, in the element type of the old one. */
  setInts(input: number, values: readonly number[], dims?: readonly number[]): void;
  /** Changes the integers of an input, one change each, whether they are constant or computed. */
  adjustInts(input: number, changes: readonly Adjustment[]): void;
  /** A new int64 constant's name. */
  constant(values: readonly number[], dims: readonly number[]): string;
  /** A new floating constant of rank 0, in the element type of an output. */
  scalar(value: number, output?: number): string;
  /** Renames an output, so that nodes in `after` can make it. @returns the new name */
  rename(output?: number): string;
  /** A name for a value that the graph does not use. */
  freshName(hint: string): string;
  /** Replaces the node by others. */
  replace(nodes: readonly NodeProto[]): void;
  /** Removes nodes that nothing reads any more. */
  drop(nodes: readonly NodeProto[]): void;
  /**
   * Input `input` lists the sizes of `axes` before pruning; scales it to the sizes after pruning, whether it is constant or computed.
   * @param copied axes whose sizes a 0 in the list stands for
   */
  scaleSizes(input: number, axes: readonly (AxisId | undefined)[], copied?: readonly (AxisId | undefined)[]): void;
}
