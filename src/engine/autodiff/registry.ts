import type { NodeProto } from 'onnx-buf';
import { intAttribute } from '../onnx/attributes.ts';
import { DataType, isFloatType } from '../onnx/tensor.ts';
import { convolutionRules } from './rules/convolution.ts';
import { dataMovementRules } from './rules/dataMovement.ts';
import { elementwiseRules } from './rules/elementwise.ts';
import { matmulRules } from './rules/matmul.ts';
import { normalizationRules } from './rules/normalization.ts';
import { poolingRules } from './rules/pooling.ts';
import { reductionRules } from './rules/reduction.ts';
import { resizeRules } from './rules/resize.ts';
import type { Rule, Rules } from './rule.ts';

/** Operators whose outputs are piecewise constant or not real numbers: no gradient flows through them. */
const constantOperators = new Set([
  'Shape', 'Size', 'Constant', 'ConstantOfShape', 'Range', 'NonZero', 'ArgMax', 'ArgMin', 'OneHot', 'EyeLike', 'IsNaN', 'IsInf',
  'Equal', 'Greater', 'GreaterOrEqual', 'Less', 'LessOrEqual', 'Not', 'And', 'Or', 'Xor', 'Floor', 'Ceil', 'Round', 'Sign',
  'RandomNormalLike', 'RandomUniformLike', 'Bernoulli',
]);

const rules: Rules = { ...elementwiseRules, ...matmulRules, ...convolutionRules, ...poolingRules, ...normalizationRules, ...reductionRules, ...dataMovementRules, ...resizeRules };

/** Whether a node makes whole numbers or truth values of what it reads. */
const isRounding = (node: NodeProto): boolean => node.opType === 'Cast' && !isFloatType(intAttribute(node, 'to', DataType.FLOAT));

/** The gradient rule of a node's operator; 'constant' when no gradient flows through it; undefined when there is none. */
export function ruleFor(node: NodeProto): Rule | 'constant' | undefined {
  if (node.domain !== '' && node.domain !== 'ai.onnx') return undefined;
  return constantOperators.has(node.opType) || isRounding(node) ? 'constant' : Object.hasOwn(rules, node.opType) ? rules[node.opType] : undefined;
}
