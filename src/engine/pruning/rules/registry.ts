import type { NodeProto } from 'onnx-buf';
import { subgraphsOf } from '../../onnx/attributes.ts';
import type { NodeAxes } from '../nodeAxes.ts';
import type { Rule } from '../rule.ts';
import { convolution } from './convolution.ts';
import { elementwise } from './elementwise.ts';
import { linear } from './linear.ts';
import { movement } from './movement.ts';
import { normalization } from './normalization.ts';
import { pooling, reduction } from './reduction.ts';
import { recurrentRules } from './recurrent.ts';
import { reshape } from './reshape.ts';
import { shape } from './shape.ts';

/** Rules of the ONNX operator set, by operator type. */
const rules: ReadonlyMap<string, Rule> = new Map(Object.entries({
  ...elementwise, ...convolution, ...linear, ...movement, ...normalization, ...pooling, ...reduction, ...recurrentRules, ...reshape, ...shape,
}));
/** Operators of com.microsoft that mean the same as the ones of the same name. */
const microsoft = new Set(['Gelu', 'FastGelu', 'QuickGelu']);

const unknown: Rule = {
  relate: (n: NodeAxes) => { n.freezeAll(subgraphsOf(n.node).length > 0 ? `${n.opType} with a subgraph` : `operator ${n.node.domain ? `${n.node.domain}.` : ''}${n.opType}, which is not known`); },
};

/** The rule of a node; one that freezes everything where the operator is not known. */
export function ruleOf(node: NodeProto): Rule {
  const ours = node.domain === '' || node.domain === 'ai.onnx' || (node.domain === 'com.microsoft' && microsoft.has(node.opType));
  return (ours ? rules.get(node.opType) : undefined) ?? unknown;
}
