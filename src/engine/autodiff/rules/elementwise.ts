import type { NodeProto } from 'onnx-buf';
import { floatAttribute, stringAttribute } from '../../onnx/attributes.ts';
import type { GraphBuilder } from '../../onnx/graphBuilder.ts';
import { type Rule, type RuleContext, type Rules, outputGradient, unbroadcast, unsupported, withoutPoles } from '../rule.ts';

/** The derivative of y = f(x) at every element, given x and y. */
type Derivative = (build: GraphBuilder, x: string, y: string, node: NodeProto) => string;

const unary = (derivative: Derivative): Rule => (context) => {
  const { node, build } = context;
  return [build.mul(outputGradient(context), derivative(build, node.input[0]!, node.output[0]!, node))];
};

/** The gradient where a condition holds and zero elsewhere; a product, which onnxruntime runs twice as fast as Where. */
const gate = (build: GraphBuilder, condition: string, gradient: string): string => build.mul(gradient, build.op('CastLike', [condition, gradient]));
const gated = (condition: (build: GraphBuilder, x: string, y: string, node: NodeProto) => string): Rule => (context) => {
  const { node, build } = context;
  return [gate(build, condition(build, node.input[0]!, node.output[0]!, node), outputGradient(context))];
};

/** A gradient for each input of a broadcasting operator, brought back to the input's shape. */
const broadcasting = (...partials: ((build: GraphBuilder, gradient: string, inputs: readonly string[], output: string) => string)[]): Rule => (context) => {
  const { node, build, shape, wants } = context;
  const gradient = outputGradient(context), output = node.output[0]!;
  return partials.map((partial, i) => (wants(i) ? unbroadcast(build, partial(build, gradient, node.input, output), shape(output), shape(node.input[i]!)) : undefined));
};

/** Min, Max, Sum, Mean: any number of broadcast inputs. Among equal ones Min and Max credit the first. */
const variadic = (partial: (context: RuleContext, gradient: string, input: number, pass: (condition: string) => string) => string): Rule => (context) => {
  const { node, build, shape, wants } = context;
  const gradient = outputGradient(context), output = node.output[0]!;
  return node.input.map((value, i) => {
    if (!wants(i)) return undefined;
    return unbroadcast(build, partial(context, gradient, i, (condition) => gate(build, condition, gradient)), shape(output), shape(value));
  });
};

const extremum = variadic(({ node, build }, _, input, pass) => {
  const chosen = (i: number): string => build.op('Equal', [node.input[i]!, node.output[0]!]);
  let condition = chosen(input);
  for (let earlier = 0; earlier < input; earlier++) condition = build.op('And', [condition, build.op('Not', [chosen(earlier)])]);
  return pass(condition);
});

const step = (build: GraphBuilder, condition: string, whenTrue: string | number, whenFalse: string | number): string => build.op('Where', [condition, whenTrue, whenFalse]);
/** 1/x, and 0 where x is 0. */
const inverse = (build: GraphBuilder, x: string): string => withoutPoles(build, build.op('Reciprocal', [x]));
const square = (build: GraphBuilder, x: string): string => build.mul(x, x);
const standardNormalDensity = (build: GraphBuilder, x: string): string => build.mul(build.op('Exp', [build.mul(square(build, x), -0.5)]), 1 / Math.sqrt(2 * Math.PI));

/** d/dx of x * Phi(x) = Phi(x) + x * phi(x); or of its tanh approximation (ONNX Gelu-20). */
const gelu: Derivative = (build, x, _, node) => {
  if (stringAttribute(node, 'approximate', 'none') === 'none') {
    const phi = build.mul(build.add(build.op('Erf', [build.mul(x, Math.SQRT1_2)]), 1), 0.5);
    return build.add(phi, build.mul(x, standardNormalDensity(build, x)));
  }
  const c = Math.sqrt(2 / Math.PI), x2 = square(build, x);
  const tanh = build.op('Tanh', [build.mul(build.mul(x, c), build.add(build.mul(x2, 0.044715), 1))]);
  const inner = build.mul(build.add(build.mul(x2, 3 * 0.044715), 1), c);
  return build.add(build.mul(build.add(tanh, 1), 0.5), build.mul(build.mul(x, 0.5), build.mul(build.sub(1, square(build, tanh)), inner)));
};

/** ReLU-like: slope `alpha` below zero. */
const leaky = (fallback: number): Derivative => (build, x, _, node) => step(build, build.op('Greater', [x, 0]), 1, floatAttribute(node, 'alpha', fallback));

/** Clip's bounds are inputs since opset 11; the gradient reaches x strictly inside them. */
const clip: Rule = (context) => {
  const { node, build, wants } = context;
  const gradient = outputGradient(context), x = node.input[0]!;
  const [low, high] = [node.input[1] ?? '', node.input[2] ?? ''];
  const conditions = [...(low === '' ? [] : [build.op('Greater', [x, low])]), ...(high === '' ? [] : [build.op('Less', [x, high])])];
  const inside = conditions.length === 0 ? undefined : conditions.reduce((a, b) => build.op('And', [a, b]));
  return [wants(0) ? (inside === undefined ? gradient : gate(build, inside, gradient)) : undefined];
};

export const elementwiseRules: Rules = {
  Add: broadcasting((_, g) => g, (_, g) => g),
  Sub: broadcasting((_, g) => g, (build, g) => build.neg(g)),
  Mul: broadcasting((build, g, [, b]) => build.mul(g, b!), (build, g, [a]) => build.mul(g, a!)),
  Div: broadcasting((build, g, [, b]) => build.mul(g, inverse(build, b!)), (build, g, [a, b]) => build.neg(build.mul(build.mul(g, inverse(build, b!)), build.mul(a!, inverse(build, b!))))),
  /** Pow-13: the exponent may be of another type than x. */
  Pow: broadcasting(
    (build, g, [x, p]) => {
      const power = build.op('CastLike', [p!, x!]);
      return build.mul(g, build.mul(power, withoutPoles(build, build.op('Pow', [x!, build.sub(power, 1)]))));
    },
    (build, g, [x], y) => build.mul(g, build.mul(y, withoutPoles(build, build.op('Log', [x!])))),
  ),
  PRelu: broadcasting(
    (build, g, [x, slope]) => build.mul(g, step(build, build.op('Greater', [x!, 0]), 1, slope!)),
    (build, g, [x]) => build.mul(g, build.op('Min', [x!, 0])),
  ),
  Min: extremum,
  Max: extremum,
  Sum: variadic((_, g) => g),
  Mean: variadic(({ node, build }, g) => build.mul(g, 1 / node.input.length)),
  Where: (context) => {
    const { node, build, shape, wants } = context;
    const g = outputGradient(context), [condition, a, b] = node.input, from = shape(node.output[0]!);
    return [undefined, wants(1) ? unbroadcast(build, build.op('Where', [condition!, g, 0]), from, shape(a!)) : undefined,
      wants(2) ? unbroadcast(build, build.op('Where', [condition!, 0, g]), from, shape(b!)) : undefined];
  },

  Identity: (context) => [outputGradient(context)],
  /** Dropout-13 is the identity at inference. */
  Dropout: (context) => {
    const training = context.node.input[2] ?? '';
    if (training !== '' && context.contents(training)[0] !== 0) throw unsupported(context.node, 'it is in training mode');
    return [outputGradient(context)];
  },
  Cast: (context) => [context.build.op('CastLike', [outputGradient(context), context.node.input[0]!])],
  Neg: (context) => [context.build.neg(outputGradient(context))],
  Abs: unary((build, x) => build.op('Sign', [x])),
  Reciprocal: unary((build, _, y) => withoutPoles(build, build.neg(square(build, y)))),
  Sqrt: unary((build, _, y) => build.mul(inverse(build, y), 0.5)),
  Exp: unary((_build, _x, y) => y),
  Log: unary((build, x) => inverse(build, x)),
  Sin: unary((build, x) => build.op('Cos', [x])),
  Cos: unary((build, x) => build.neg(build.op('Sin', [x]))),
  Atan: unary((build, x) => build.op('Reciprocal', [build.add(square(build, x), 1)])),
  Erf: unary((build, x) => build.mul(build.op('Exp', [build.neg(square(build, x))]), 2 / Math.sqrt(Math.PI))),
  Tanh: unary((build, _, y) => build.sub(1, square(build, y))),
  Sigmoid: unary((build, _, y) => build.mul(y, build.sub(1, y))),
  Softplus: unary((build, x) => build.op('Sigmoid', [x])),
  Softsign: unary((build, x) => build.op('Reciprocal', [square(build, build.add(build.op('Abs', [x]), 1))])),
  Elu: unary((build, x, y, node) => step(build, build.op('Greater', [x, 0]), 1, build.add(y, floatAttribute(node, 'alpha', 1)))),
  Celu: unary((build, x, y, node) => step(build, build.op('Greater', [x, 0]), 1, build.add(build.mul(y, 1 / floatAttribute(node, 'alpha', 1)), 1))),
  Selu: unary((build, x, y, node) => {
    const alpha = floatAttribute(node, 'alpha', 1.67326319217681884765625), gamma = floatAttribute(node, 'gamma', 1.05070102214813232421875);
    return step(build, build.op('Greater', [x, 0]), gamma, build.add(y, gamma * alpha));
  }),
  LeakyRelu: unary(leaky(0.01)),
  HardSigmoid: unary((build, _, y, node) => {
    const inside = build.op('And', [build.op('Greater', [y, 0]), build.op('Less', [y, 1])]);
    return step(build, inside, floatAttribute(node, 'alpha', 0.2), 0);
  }),
  /** x * max(0, min(1, x/6 + 1/2)), ONNX HardSwish-14. */
  HardSwish: unary((build, x) => step(build, build.op('Greater', [x, 3]), 1, step(build, build.op('Greater', [x, -3]), build.add(build.mul(x, 1 / 3), 0.5), 0))),
  Mish: unary((build, x) => {
    const tanh = build.op('Tanh', [build.op('Softplus', [x])]);
    return build.add(tanh, build.mul(build.mul(x, build.op('Sigmoid', [x])), build.sub(1, square(build, tanh))));
  }),
  Gelu: unary(gelu),
  Relu: gated((build, _, y) => build.op('Greater', [y, 0])),
  ThresholdedRelu: gated((build, x, _, node) => build.op('Greater', [x, floatAttribute(node, 'alpha', 1)])),
  Clip: clip,
};
