import type { NodeProto } from 'onnx-buf';
import { subgraphsOf } from '../../onnx/attributes.ts';
import type { NodeAxes } from '../nodeAxes.ts';
import type { Rule } from '../rule.ts';
import { attentionRules } from './attention.ts';
import { convolution } from './convolution.ts';
import { elementwise } from './elementwise.ts';
import { indexing } from './indexing.ts';
import { linear } from './linear.ts';
import { microsoftRules } from './microsoft.ts';
import { movement } from './movement.ts';
import { normalization } from './normalization.ts';
import { pooling, reduction } from './reduction.ts';
import { recurrentRules } from './recurrent.ts';
import { reshape } from './reshape.ts';
import { shape } from './shape.ts';

/** Rules of the ONNX operator set, by operator type. */
const rules: ReadonlyMap<string, Rule> = new Map(Object.entries({
  ...elementwise, ...convolution, ...linear, ...movement, ...normalization, ...pooling, ...reduction, ...recurrentRules, ...reshape, ...shape,
  ...indexing, ...attentionRules,
}));
const microsoft: ReadonlyMap<string, Rule> = new Map(Object.entries(microsoftRules));
const onnxDomains = new Set(['', 'ai.onnx']);

const unknown: Rule = {
  relate: (n: NodeAxes) => { n.freezeAll(subgraphsOf(n.node).length > 0 ? `${n.opType} with a subgraph` : `operator ${n.node.domain ? `${n.node.domain}.` : ''}${n.opType}, which is not known`); },
};

/** Whether an operator of the ONNX domain has a rule. */
export const hasRule = (opType: string): boolean => rules.has(opType);

/** The rule of a node; one that freezes everything where the operator is not known. */
export function ruleOf(node: NodeProto): Rule {
  return (onnxDomains.has(node.domain) ? rules : node.domain === 'com.microsoft' ? microsoft : undefined)?.get(node.opType) ?? unknown;
}
