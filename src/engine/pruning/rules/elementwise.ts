/** Operators that work on each position alone, with broadcasting (ONNX "Broadcasting in ONNX"). */
import { floatAttribute } from '../../onnx/attributes.ts';
import type { Rule, ZeroRule } from '../rule.ts';
import type { NodeAxes } from '../nodeAxes.ts';

const relate = (n: NodeAxes): void => { for (let i = 0; i < n.node.input.length; i++) if (n.has(i)) n.broadcast(i); };
const rule = (zeros?: ZeroRule): Rule => ({ relate, ...(zeros ? { zeros } : {}) });
/** Only the first input has the output's shape; further ones are scalars or hints. Every output has it. */
const first = (zeros?: ZeroRule): Rule => ({
  relate: (n) => { n.node.output.forEach((name, i) => { if (name !== '') n.broadcast(0, i); }); }, ...(zeros ? { zeros } : {}),
});

const family = (names: string, value: Rule): Record<string, Rule> => Object.fromEntries(names.split(' ').map((name) => [name, value]));

export const elementwise: Readonly<Record<string, Rule>> = {
  ...family('Identity Relu LeakyRelu Abs Neg Sqrt Tanh Erf Sin Tan Asin Atan Sinh Asinh Floor Ceil Round Sign Elu Selu Celu Gelu HardSwish Swish Mish Softsign Cast CastLike Dropout ThresholdedRelu Shrink QuickGelu', first([0])),
  ...family('Sigmoid Exp Log Cos Acos Cosh Acosh Atanh HardSigmoid Softplus Not Reciprocal IsNaN IsInf BitwiseNot', first()),
  ...family('Add Sub Sum Mean Max Min Or Xor BitwiseOr BitwiseXor', rule('every')),
  ...family('Mul And BitwiseAnd', rule('any')),
  ...family('Div PRelu Mod', rule([0])),
  Pow: {
    ...rule([0]),
    relate: (n) => { // zero to no positive power is not zero
      relate(n);
      if (!((n.scalarIn(1) ?? 0) > 0)) for (const axis of n.axes.axesOf(n.output())) n.axes.links.delete(axis);
    },
  },
  ...family('Equal Less LessOrEqual Greater GreaterOrEqual BitShift', rule()),
  Where: rule([1, 2]),
  Clip: {
    ...first([0]),
    relate: (n) => { // a range without 0 turns zeros into something else: such a Clip is no way for zeros
      n.broadcast(0);
      const low = n.has(1) ? n.scalarIn(1) ?? 1 : floatAttribute(n.node, 'min', 0), high = n.has(2) ? n.scalarIn(2) ?? -1 : floatAttribute(n.node, 'max', 0);
      if (low > 0 || high < 0) for (const axis of n.axes.axesOf(n.output())) n.axes.links.delete(axis);
    },
  },
};
