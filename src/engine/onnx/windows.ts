import type { NodeProto } from 'onnx-buf';
import { hasAttribute, intAttribute, intsAttribute, stringAttribute } from './attributes.ts';

/** How a sliding window (convolution or pooling) moves over each spatial axis. */
export interface Windows {
  readonly kernel: readonly number[];
  readonly strides: readonly number[];
  readonly dilations: readonly number[];
  /** Padding before and after each spatial axis, as it takes effect: computed from the shapes for auto_pad, and rounded-up outputs included. */
  readonly before: readonly number[];
  readonly after: readonly number[];
}

/** @param input and output spatial dims @see ONNX Conv-11, AveragePool-19, MaxPool-12 */
export function windowsOf(node: NodeProto, kernel: readonly number[], input: readonly number[], output: readonly number[]): Windows {
  const ones = kernel.map(() => 1), zeros = kernel.map(() => 0), rank = kernel.length;
  const strides = intsAttribute(node, 'strides') ?? ones, dilations = intsAttribute(node, 'dilations') ?? ones;
  const autoPad = stringAttribute(node, 'auto_pad', 'NOTSET'), pads = intsAttribute(node, 'pads') ?? [...zeros, ...zeros];
  /** How far the last window reaches beyond the input, both ends together; below 0 where it stops short. */
  const overhang = kernel.map((k, i) => (output[i]! - 1) * strides[i]! + (k - 1) * dilations[i]! + 1 - input[i]!);
  const before = autoPad.startsWith('SAME') ? overhang.map((total) => (autoPad === 'SAME_LOWER' ? Math.ceil(Math.max(0, total) / 2) : Math.floor(Math.max(0, total) / 2)))
    : autoPad === 'VALID' ? zeros : pads.slice(0, rank);
  return { kernel, strides, dilations, before, after: overhang.map((total, i) => total - before[i]!) };
}

/**
 * How the windows of a transposed convolution move: those of the convolution from its output to its input, of which it is the input gradient.
 * @param input and output spatial dims of the ConvTranspose @see ONNX ConvTranspose-11: padding that follows from a given size of the output stands first where auto_pad does not say SAME_UPPER
 */
export function transposedWindowsOf(node: NodeProto, kernel: readonly number[], input: readonly number[], output: readonly number[]): Windows {
  const windows = windowsOf(node, kernel, output, input), { strides, dilations } = windows, autoPad = stringAttribute(node, 'auto_pad', 'NOTSET');
  if (!autoPad.startsWith('SAME') && !hasAttribute(node, 'output_shape')) return windows;
  const extra = intsAttribute(node, 'output_padding') ?? kernel.map(() => 0);
  const total = kernel.map((k, i) => Math.max(0, strides[i]! * (input[i]! - 1) + extra[i]! + (k - 1) * dilations[i]! + 1 - output[i]!));
  const before = total.map((padding) => (autoPad === 'SAME_UPPER' ? Math.floor(padding / 2) : padding - Math.floor(padding / 2)));
  return { ...windows, before };
}

export const groupsOf = (node: NodeProto): number => intAttribute(node, 'group', 1);

/** Every position of a kernel, last axis fastest. */
export function positions(kernel: readonly number[]): number[][] {
  return kernel.reduce<number[][]>((all, length) => all.flatMap((head) => Array.from({ length }, (_, i) => [...head, i])), [[]]);
}

/** A convolution's sizes: X [batch, inChannels, ...input], W [outChannels, inChannels/groups, ...kernel], Y [batch, outChannels, ...output]. */
export interface Convolution extends Windows {
  readonly batch: number; readonly inChannels: number; readonly outChannels: number; readonly groups: number;
  readonly input: readonly number[]; readonly output: readonly number[];
}

export function convolutionOf(node: NodeProto, x: readonly number[], w: readonly number[], y: readonly number[]): Convolution {
  const [batch, inChannels, ...input] = x as [number, number, ...number[]], [, outChannels, ...output] = y as [number, number, ...number[]];
  return { batch, inChannels, outChannels, groups: groupsOf(node), input, output, ...windowsOf(node, w.slice(2), input, output) };
}

/** Whether each channel is convolved for itself, to one channel. */
export const isDepthwise = ({ groups, inChannels, outChannels }: Convolution): boolean => groups > 1 && groups === inChannels && groups === outChannels;
