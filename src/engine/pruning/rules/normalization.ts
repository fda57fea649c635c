/** Normalisations: over the batch or each channel alone they pass a channel through; over an axis they mix it, which freezes it. */
import { floatAttribute, makeNode, setAttribute } from '../../onnx/attributes.ts';
import { type NodeAxes, positive } from '../nodeAxes.ts';
import type { Rule } from '../rule.ts';

/** Input and output share all axes. */
function sameShape(n: NodeAxes, output = 0): void { n.outputShape(output).forEach((_, k) => { n.alias(n.outAxis(k, output), 0, n.inAxis(0, k)); }); }
const perChannel = (n: NodeAxes, inputs: readonly number[]): void => { for (const i of inputs) if (n.has(i)) n.alias(n.outAxis(1), i, n.inAxis(i, 0)); };

function overLastAxes(n: NodeAxes): void {
  sameShape(n);
  const rank = n.inputShape(0).length;
  for (let k = positive(n.int('axis', -1), rank); k < rank; k++) n.axes.freeze(n.inAxis(0, k), `${n.opType} over the axis`);
  for (const i of [1, 2]) if (n.has(i)) n.broadcast(i);
  for (let o = 1; o < n.node.output.length; o++) if (n.output(o) !== '') n.broadcast(0, o);
}

function group(n: NodeAxes): void {
  const count = n.int('num_groups', 1), channels = n.inputShape(0)[1]!, x = n.inAxis(0, 1), y = n.outAxis(1);
  sameShape(n);
  n.inputShape(0).slice(2).forEach((_, i) => { n.axes.freeze(n.inAxis(0, i + 2), `${n.opType} over the axis`); });
  const groups = n.axes.virtual(count), inside = n.axes.virtualFrozen(channels / count, `${n.opType} over the axis`);
  n.axes.groupAxes.set(n.node, groups);
  n.axes.regroup([x], [groups, inside]);
  for (const i of [1, 2]) {
    if (n.inputShape(i)[0] === channels) n.alias(y, i, n.inAxis(i, 0));
    else n.axes.alias(groups, n.inAxis(i, 0)); // opset 18: one parameter a group
  }
}

/**
 * The root of the mean of squares: zeros that are dropped count in the mean, so over n of N positions the result is
 * sqrt(N / n) of the same operator with epsilon * N / n.
 */
const rootMeanSquare: Rule = {
  zeros: 'any',
  relate: (n) => {
    sameShape(n);
    const rank = n.inputShape(0).length;
    for (let k = positive(n.int('axis', -1), rank); k < rank; k++) n.contract(n.inAxis(0, k));
    if (n.has(1)) n.broadcast(1);
    for (let o = 1; o < n.node.output.length; o++) if (n.output(o) !== '') for (const own of [...n.axes.axesOf(n.output(o)), n.inAxis(0, -1)]) n.axes.freeze(own, `statistics of ${n.opType}`);
  },
  rewrite: (n, edit) => {
    const first = positive(n.int('axis', -1), n.inputShape(0).length);
    const over = n.axes.axesOf(n.input(0)).slice(first), ratio = over.reduce((product, own) => (product * n.axes.sizeOf(own)) / edit.size(own), 1);
    if (ratio === 1) return;
    setAttribute(edit.node(), 'epsilon', { float: floatAttribute(n.node, 'epsilon', 1e-5) * ratio });
    edit.after.push(makeNode('Mul', [edit.rename(), edit.scalar(Math.sqrt(ratio))], [n.output()]));
  },
};

export const normalization: Readonly<Record<string, Rule>> = {
  BatchNormalization: {
    zeros: (n) => (n.int('training_mode', 0) !== 0 ? [0, 2] : [1, 2]), // zeros have zero mean: only the bias is left of them
    relate: (n) => {
      sameShape(n);
      perChannel(n, [1, 2, 3, 4]);
      const rank = n.inputShape(0).length; // in training mode the statistics are the input's own
      if (n.int('training_mode', 0) !== 0) for (let k = 0; k < rank; k++) if (k !== 1) n.axes.freeze(n.inAxis(0, k), 'BatchNormalization over the axis');
      for (let o = 1; o < n.node.output.length; o++) if (n.output(o) !== '') n.axes.alias(n.outAxis(0, o), n.outAxis(1));
    },
  },
  InstanceNormalization: {
    zeros: [1, 2],
    relate: (n) => {
      sameShape(n);
      perChannel(n, [1, 2]);
      n.inputShape(0).slice(2).forEach((_, i) => { n.axes.freeze(n.inAxis(0, i + 2), 'InstanceNormalization over the axis'); });
    },
  },
  LayerNormalization: { relate: overLastAxes },
  RMSNormalization: rootMeanSquare, SimplifiedLayerNormalization: rootMeanSquare,
  GroupNormalization: {
    relate: group,
    rewrite: (n, edit) => { const axis = n.axes.groupAxes.get(n.node); if (axis !== undefined && edit.kept(axis)) setAttribute(edit.node(), 'num_groups', edit.size(axis)); },
  },
  LpNormalization: {
    zeros: [0],
    relate: (n) => { sameShape(n); n.contract(n.inAxis(0, n.int('axis', -1))); },
  },
  MeanVarianceNormalization: {
    relate: (n) => { sameShape(n); for (const k of n.ints('axes') ?? [0, 2, 3]) n.axes.freeze(n.inAxis(0, k), 'MeanVarianceNormalization over the axis'); },
  },
  LRN: {
    zeros: [0],
    relate: (n) => { sameShape(n); n.axes.freeze(n.inAxis(0, 1), 'LRN over neighbouring channels'); },
  },
};
