import { intAttribute, intsAttribute } from '../../onnx/attributes.ts';
import type { GraphBuilder } from '../../onnx/graphBuilder.ts';
import { type Rule, type RuleContext, type Rules, frontAxis, outputGradient, product, range, withoutPoles } from '../rule.ts';

/** What a reduction's rule gets: values with the reduced axes kept as 1, so that they broadcast against the input. */
interface Reduced { readonly build: GraphBuilder; readonly x: string; readonly y: string; readonly gradient: string; readonly axes: readonly number[]; readonly count: number }

/** Axes are an attribute or the second input (ReduceSum since opset 13, the others since 18); none means all, or none if noop_with_empty_axes. */
function reducedAxes({ node, shape, contents }: RuleContext): number[] {
  const rank = shape(node.input[0]!).length, input = node.input[1] ?? '';
  const axes = intsAttribute(node, 'axes') ?? (input === '' ? [] : contents(input));
  if (axes.length === 0) return intAttribute(node, 'noop_with_empty_axes', 0) ? [] : range(rank);
  return axes.map((axis) => frontAxis(axis, rank)).sort((a, b) => a - b);
}

/** The gradient by x before broadcasting to its shape: any shape that broadcasts to it. */
export type Local = (reduced: Reduced) => string;

export const reduction = (local: Local, axesOf: (context: RuleContext) => readonly number[] = reducedAxes): Rule => (context) => {
  const { node, build, shape } = context;
  const x = node.input[0]!, dims = shape(x), axes = axesOf(context);
  const kept = dims.map((dim, axis) => (axes.includes(axis) ? 1 : dim));
  const withAxes = (value: string): string => (shape(node.output[0]!).length === kept.length ? value : build.reshape(value, kept));
  const gradient = withAxes(outputGradient(context));
  const result = local({ build, x, y: withAxes(node.output[0]!), gradient, axes, count: product(axes.map((axis) => dims[axis]!)) });
  return [build.op('Expand', [result, build.ints(dims)])];
};

/** The gradient goes to the extreme elements; equal ones share it. */
export const extreme: Local = ({ build, x, y, gradient, axes }) => {
  const chosen = build.op('Where', [build.op('Equal', [x, y]), 1, 0]);
  return build.mul(chosen, build.div(gradient, build.sum(chosen, axes, true)));
};

export const mean: Local = ({ build, gradient, count }) => build.mul(gradient, 1 / count);

/** For each element the product of those that it is multiplied with. Beside one zero that is zero for all but the zero itself, beside two for all. */
function productOfOthers(build: GraphBuilder, x: string, axes: readonly number[]): string {
  const isZero = build.op('CastLike', [build.op('Equal', [x, 0]), x]), filled = build.add(x, isZero), otherZeros = build.sub(build.sum(isZero, axes, true), isZero);
  const whole = axes.length === 0 ? filled : build.opset < 18 ? build.op('ReduceProd', [filled], { axes }) : build.op('ReduceProd', [filled, build.ints(axes)]);
  return build.op('Where', [build.op('Equal', [otherZeros, 0]), build.div(whole, filled), 0]);
}

export const reductionRules: Rules = {
  ReduceSum: reduction(({ gradient }) => gradient),
  ReduceMean: reduction(mean),
  ReduceSumSquare: reduction(({ build, x, gradient }) => build.mul(build.mul(x, 2), gradient)),
  ReduceL1: reduction(({ build, x, gradient }) => build.mul(build.op('Sign', [x]), gradient)),
  ReduceL2: reduction(({ build, x, y, gradient }) => build.mul(x, build.mul(gradient, withoutPoles(build, build.op('Reciprocal', [y]))))),
  ReduceLogSumExp: reduction(({ build, x, y, gradient }) => build.mul(build.op('Exp', [build.sub(x, y)]), gradient)),
  ReduceLogSum: reduction(({ build, y, gradient }) => build.mul(gradient, withoutPoles(build, build.op('Exp', [build.neg(y)])))),
  ReduceProd: reduction(({ build, x, gradient, axes }) => build.mul(productOfOthers(build, x, axes), gradient)),
  ReduceMax: reduction(extreme),
  ReduceMin: reduction(extreme),
};
