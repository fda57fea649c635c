/** Operators that read or write at positions known only when they run: their axes stay whole, all others pass through. */
import { type NodeAxes, positive } from '../nodeAxes.ts';
import type { Rule } from '../rule.ts';
import { isZero } from './movement.ts';

const freeze = (n: NodeAxes, axes: readonly number[]): void => { for (const axis of axes) n.axes.freeze(axis, `${n.opType} at positions that depend on the data`); };

/** Operands of equal rank that share every axis but one; sizes that differ are read or written in part. */
const elements = (operands: readonly number[]) => (n: NodeAxes): void => {
  const axis = positive(n.int('axis', 0), n.inputShape(0).length);
  n.outputShape().forEach((size, k) => {
    const own = operands.map((i) => n.inAxis(i, k));
    if (k === axis || own.some((id) => n.axes.sizeOf(id) !== size)) freeze(n, [...own, n.outAxis(k)]);
    else operands.forEach((i) => { n.alias(n.outAxis(k), i, n.inAxis(i, k)); });
  });
};

function gatherND(n: NodeAxes): void {
  const batch = n.int('batch_dims', 0), indices = n.inputShape(1), depth = indices.at(-1)!, data = n.inputShape(0);
  freeze(n, [...n.axes.axesOf(n.input(1)).slice(batch), ...data.slice(batch, batch + depth).map((_, k) => n.inAxis(0, batch + k))]);
  for (let k = 0; k < batch; k++) for (const input of [0, 1]) n.alias(n.outAxis(k), input, n.inAxis(input, k));
  for (let k = batch; k < indices.length - 1; k++) freeze(n, [n.outAxis(k)]);
  for (let k = batch + depth; k < data.length; k++) n.alias(n.outAxis(k - depth - batch + indices.length - 1), 0, n.inAxis(0, k));
}

function scatterND(n: NodeAxes): void {
  const indices = n.inputShape(1), depth = indices.at(-1)!;
  const zeros = isZero(n, n.input(2)); // written into zeros they leave zeros
  freeze(n, n.axes.axesOf(n.input(1)));
  n.inputShape(0).forEach((_, k) => {
    const out = n.outAxis(k), written = k < depth ? undefined : n.inAxis(2, k - depth + indices.length - 1);
    n.alias(out, 0, n.inAxis(0, k));
    if (written === undefined) freeze(n, [out]); else n.axes.alias(out, written);
    if (zeros || written !== undefined) n.link(out, 2, zeros ? n.inAxis(0, k) : written!);
  });
  for (let k = 0; k < indices.length - 1; k++) freeze(n, [n.inAxis(2, k)]);
}

/** All axes pass through; those named stay whole. */
const passing = (fixed: (n: NodeAxes) => readonly number[]) => (n: NodeAxes): void => {
  const rank = n.inputShape(0).length, stay = fixed(n).map((axis) => positive(axis, rank));
  n.outputShape().forEach((_, k) => {
    if (stay.includes(k)) for (const axis of [n.inAxis(0, k), n.outAxis(k)]) n.axes.freeze(axis, `${n.opType} along the axis`);
    else n.alias(n.outAxis(k), 0, n.inAxis(0, k));
  });
  for (let i = 1; i < n.node.input.length; i++) if (n.has(i)) n.freezeInput(i, `input of ${n.opType}`);
};

/** Known operators whose outputs can't be followed, and why. */
const opaque = (names: string, reason: string): Record<string, Rule> =>
  Object.fromEntries(names.split(' ').map((name) => [name, { relate: (n) => { n.freezeAll(`${name} ${reason}`); } } satisfies Rule]));

export const indexing: Readonly<Record<string, Rule>> = {
  GatherElements: { relate: elements([0, 1]), zeros: [0] },
  ScatterElements: { relate: elements([0, 1, 2]), zeros: [0, 2] }, Scatter: { relate: elements([0, 1, 2]), zeros: [0, 2] },
  GatherND: { relate: gatherND, zeros: [0] },
  ScatterND: { relate: scatterND, zeros: [0, 2] },
  Trilu: { relate: passing(() => [-1, -2]), zeros: [0] },
  ReverseSequence: { relate: passing((n) => [n.int('batch_axis', 1), n.int('time_axis', 0)]), zeros: [0] },
  CenterCropPad: { relate: passing((n) => n.ints('axes') ?? n.inputShape(0).map((_, k) => k)), zeros: [0] },
  Compress: { relate: (n) => { if (n.hasAttribute('axis')) passing((own) => [own.int('axis', 0)])(n); else n.freezeAll('Compress of all elements'); }, zeros: [0] },
  OneHot: {
    relate: (n) => {
      const rank = n.outputShape().length, at = positive(n.int('axis', -1), rank);
      n.axes.freeze(n.outAxis(at), 'OneHot over the axis');
      n.inputShape(0).forEach((_, k) => { n.axes.alias(n.outAxis(k < at ? k : k + 1), n.inAxis(0, k)); });
    },
  },
  ...Object.fromEntries(['RandomNormalLike', 'RandomUniformLike', 'Bernoulli'].map((name) => [name, { relate: (n: NodeAxes) => { n.broadcast(0); } }])),
  ...opaque('RandomNormal RandomUniform EyeLike Range HannWindow HammingWindow BlackmanWindow MelWeightMatrix', 'makes values of a stated shape'),
  ...opaque('NonZero NonMaxSuppression Unique Multinomial MaxRoiPool DeformConv Col2Im AffineGrid', 'depends on the data or on positions'),
  ...opaque('STFT Det', 'mixes all positions of its axes'),
  ...opaque('NegativeLogLikelihoodLoss SoftmaxCrossEntropyLoss', 'is a loss'),
  ...opaque('SequenceAt SequenceLength SequenceInsert SequenceErase SequenceConstruct SequenceEmpty SplitToSequence ConcatFromSequence SequenceMap Optional OptionalHasElement OptionalGetElement', 'works on sequences or optionals'),
  ...opaque('StringNormalizer TfIdfVectorizer RegexFullMatch StringConcat StringSplit ImageDecoder', 'works on strings or files'),
};
