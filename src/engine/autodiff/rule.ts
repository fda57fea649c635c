import type { NodeProto } from 'onnx-buf';
import { UnsupportedModelError } from '../errors.ts';
import type { GraphBuilder } from '../onnx/graphBuilder.ts';
import { nodeLabel } from '../onnx/graphView.ts';
import type { Tensor } from '../runtime/session.ts';

/** What a rule may know of the node that it differentiates. */
export interface RuleContext {
  readonly node: NodeProto;
  /** Where the rule writes the nodes of the gradient. */
  readonly build: GraphBuilder;
  /** Channels of a block of onnxruntime's blocked layout, if its convolutions may be used (blockedLayout.ts); otherwise 0. */
  readonly block: number;
  /** Gradient of the loss by each output of the node; undefined where the loss does not depend on that output. */
  readonly gradients: readonly (string | undefined)[];
  /** Whether the gradient by this input is asked for. */
  wants(input: number): boolean;
  /** Exact shape of a value. @throws {UnsupportedModelError} when it has none (a sequence, an omitted input) */
  shape(value: string): readonly number[];
  /** Contents of a small value that does not depend on data: shapes, indices, sizes. @throws {UnsupportedModelError} when unknown */
  contents(value: string): readonly number[];
}

/**
 * The gradient rule of an operator: from the gradient of the loss by the outputs to the gradient by each input, in input order.
 * Undefined for an input that is not wanted or has no gradient. Shapes must equal the inputs' (see `unbroadcast`).
 */
export type Rule = (context: RuleContext) => readonly (string | undefined)[];
export type Rules = Readonly<Record<string, Rule>>;

/** For a form of an operator that its rule does not know. */
export const unsupported = (node: NodeProto, why: string): UnsupportedModelError =>
  new UnsupportedModelError(`Can't differentiate ${nodeLabel(node)}: ${why}. Leave fine-tuning off for this model.`);

/** The gradient by the node's first output, for rules that know of no other. @throws {UnsupportedModelError} where the loss depends on another output (statistics, a mask) */
export function outputGradient({ node, gradients: [first, ...others] }: RuleContext): string {
  if (first === undefined || others.some((gradient) => gradient !== undefined)) throw unsupported(node, 'a secondary output of it is used');
  return first;
}

/** Sums a gradient over the axes along which a value was broadcast (ONNX broadcasting, numpy's), so that it has the value's shape again. */
export function unbroadcast(build: GraphBuilder, gradient: string, from: readonly number[], to: readonly number[]): string {
  const lead = from.length - to.length;
  const axes = from.flatMap((dim, axis) => (axis < lead || (to[axis - lead] === 1 && dim !== 1) ? [axis] : []));
  if (axes.length === 0 && lead === 0) return gradient;
  const summed = build.sum(gradient, axes, true);
  return lead === 0 ? summed : build.reshape(summed, to);
}

/**
 * A derivative with zeros where it is infinite: at the poles of 1/x, log x and the root, which a network keeps away from its loss by Max, Clip or Where. Their gradient is zero
 * there, but zero times infinity would be no number.
 */
export const withoutPoles = (build: GraphBuilder, derivative: string): string => build.op('Where', [build.op('IsInf', [derivative]), 0, derivative]);

export const product = (dims: readonly number[]): number => dims.reduce((a, b) => a * b, 1);
/** An axis counted from the front. */
export const frontAxis = (axis: number, rank: number): number => (axis < 0 ? axis + rank : axis);
export const range = (count: number): number[] => Array.from({ length: count }, (_, i) => i);
export const numbersOf = ({ data }: Tensor): number[] => Array.from(data as ArrayLike<number | bigint>, Number);
