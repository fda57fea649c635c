/** Operators that work on each position alone, with broadcasting (ONNX "Broadcasting in ONNX"). */
import { floatAttribute } from '../../onnx/attributes.ts';
import type { Rule } from '../rule.ts';
import type { NodeAxes } from '../nodeAxes.ts';

const relate = (n: NodeAxes): void => { for (let i = 0; i < n.node.input.length; i++) if (n.has(i)) n.broadcast(i); };
const rule = (zeros?: Rule['zeros']): Rule => ({ relate, ...(zeros ? { zeros } : {}) });
/** Only the first input has the output's shape; further ones are scalars or hints. Further outputs have it too, but are not zero where it is (Dropout's mask). */
const first = (zeros?: Rule['zeros']): Rule => ({
  relate: (n) => {
    n.broadcast(0);
    for (const name of n.node.output.slice(1)) n.axes.axesOf(name).forEach((axis, k) => { n.axes.alias(axis, n.inAxis(0, k)); });
  }, ...(zeros ? { zeros } : {}),
});

const family = (names: string, value: Rule): Record<string, Rule> => Object.fromEntries(names.split(' ').map((name) => [name, value]));

export const elementwise: Readonly<Record<string, Rule>> = {
  ...family('Identity Relu LeakyRelu Abs Neg Sqrt Tanh Erf Sin Tan Asin Atan Sinh Asinh Floor Ceil Round Sign Elu Selu Celu Gelu HardSwish Swish Mish Softsign Cast CastLike Dropout ThresholdedRelu QuickGelu', first([0])),
  ...family('Sigmoid Exp Log Cos Acos Cosh Acosh Atanh HardSigmoid Softplus Not Reciprocal IsNaN IsInf BitwiseNot', first()),
  ...family('Add Sub Sum Mean Max Min Or Xor BitwiseOr BitwiseXor', rule('every')),
  ...family('Mul And BitwiseAnd', rule('any')),
  ...family('Div PRelu Mod', rule([0])),
  Pow: rule((n) => { // zero to no positive power is not zero
    const powers = n.numbersIn(1);
    return powers && Array.from(powers).every((power) => power > 0) ? [0] : undefined;
  }),
  ...family('Equal Less LessOrEqual Greater GreaterOrEqual BitShift', rule()),
  Where: rule([1, 2]),
  Clip: first((n) => { // a range without 0 turns zeros into something else
    const low = n.has(1) ? n.scalarIn(1) ?? 1 : floatAttribute(n.node, 'min', 0), high = n.has(2) ? n.scalarIn(2) ?? -1 : floatAttribute(n.node, 'max', 0);
    return low <= 0 && high >= 0 ? [0] : undefined;
  }),
  Shrink: first((n) => (floatAttribute(n.node, 'lambd', 0.5) >= 0 ? [0] : undefined)), // a negative threshold moves zeros by the bias
};
