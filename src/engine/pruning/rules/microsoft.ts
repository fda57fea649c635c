/** Operators of com.microsoft that onnxruntime writes when it saves an optimised graph: ONNX operators fused in twos and threes. */
import { intAttribute, stringAttribute } from '../../onnx/attributes.ts';
import type { NodeAxes } from '../nodeAxes.ts';
import type { Rule, ZeroRule } from '../rule.ts';
import { microsoftAttentionRules } from './attention.ts';
import { convolution } from './convolution.ts';
import { elementwise } from './elementwise.ts';
import { linear } from './linear.ts';

const zeroAtZero = new Set(['', 'Relu', 'LeakyRelu', 'Tanh', 'HardSwish']);
/** Zeros of a layer with an activation behind it. */
const behind = (zeros: ZeroRule): NonNullable<Rule['zeros']> => ({ node }) => (zeroAtZero.has(stringAttribute(node, 'activation', '')) ? zeros : undefined);

/** A sum that is normalised over its last axis; the sum itself may be an output too. @param sum its output index */
const skip = (sum: number): Rule => ({
  relate: (n: NodeAxes) => {
    n.node.input.forEach((_, i) => { if (n.has(i)) n.broadcast(i); });
    for (const o of [1, 2]) if (n.output(o) !== '') for (const axis of n.axes.axesOf(n.output(o))) n.axes.freeze(axis, `statistics of ${n.opType}`);
    if (n.output(sum) !== '') n.broadcast(0, sum);
    n.axes.freeze(n.outAxis(-1), `${n.opType} over the axis`);
  },
});

export const microsoftRules: Readonly<Record<string, Rule>> = {
  ...microsoftAttentionRules,
  Gelu: elementwise['Gelu']!, QuickGelu: elementwise['QuickGelu']!,
  FastGelu: elementwise['Add']!, BiasGelu: elementwise['Add']!, // of a sum; zero at zero
  FusedConv: {
    ...convolution['Conv']!, zeros: behind([1, 2, 3]),
    relate: (n) => { convolution['Conv']!.relate(n); if (n.has(3)) n.broadcast(3); },
  },
  FusedGemm: { ...linear['Gemm']!, zeros: behind([1, 2]) },
  FusedMatMul: {
    zeros: 'any',
    relate: (n) => {
      if (['transBatchA', 'transBatchB'].some((name) => intAttribute(n.node, name, 0) !== 0)) { n.freezeAll(`this form of ${n.opType}`); return; }
      linear['MatMul']!.relate(n);
    },
  },
  SkipLayerNormalization: skip(3), SkipSimplifiedLayerNormalization: skip(3),
};
