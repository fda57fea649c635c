/** Operators that mix the positions of an axis: reductions, Softmax, ArgMax, CumSum, TopK, DFT; and pooling and resizing of spatial axes. */
import { floatsOf, isFloatTensor, isFloatType } from '../../onnx/tensor.ts';
import { makeNode, stringAttribute } from '../../onnx/attributes.ts';
import { elementTypeOf } from '../../onnx/elementType.ts';
import { type NodeAxes, positive } from '../nodeAxes.ts';
import type { NodeEdit, Rule } from '../rule.ts';

/** The axes that a reduction works on (attribute before opset 13 or 18, input after). */
function reducedAxes(n: NodeAxes): number[] | undefined {
  const rank = n.inputShape(0).length, given = n.has(1) ? n.intsIn(1) : n.ints('axes');
  if (n.has(1) && !given) return undefined;
  if (!given || given.length === 0) return n.int('noop_with_empty_axes', 0) ? [] : Array.from({ length: rank }, (_, i) => i);
  return given.map((axis) => positive(axis, rank));
}

/** Kept axes pass through; of the others, what loses nothing when zeros are dropped may be pruned, and anything else changes. */
const reduce = (ignoresZeros: boolean) => (n: NodeAxes): void => {
  const axes = reducedAxes(n), keep = n.int('keepdims', 1) === 1;
  if (!axes) { n.freezeAll(`${n.opType} over axes that depend on the data`); return; }
  let out = 0;
  n.inputShape(0).forEach((_, k) => {
    const x = n.inAxis(0, k);
    if (axes.includes(k)) {
      if (ignoresZeros) n.contract(x); else n.axes.freeze(x, `${n.opType} over the axis`);
      if (keep) out++;
    } else n.alias(n.outAxis(out++), 0, x);
  });
};

/** A reduction that makes up for dropped zeros in real numbers: of integers it leaves the axes whole. */
const compensated: Rule = { relate: (n) => { reduce(isFloatType(elementTypeOf(n.view, n.input(0))))(n); }, zeros: [0], rewrite: countZeros };

/** What the zeros that were dropped meant: they count in a mean, and they may have been the extreme. max(x, 0) is Relu(x), min(x, 0) is -Relu(-x): Max and Min of opset 7 do not broadcast. */
function countZeros(n: NodeAxes, edit: NodeEdit): void {
  const reduced = (reducedAxes(n) ?? []).map((k) => n.inAxis(0, k)).filter((axis) => edit.kept(axis));
  if (reduced.length === 0) return;
  const result = edit.rename();
  if (n.opType === 'ReduceMean') {
    const rest = reduced.reduce((share, axis) => (share * edit.size(axis)) / n.axes.sizeOf(axis), 1);
    edit.after.push(makeNode('Mul', [result, edit.scalar(rest)], [n.output()]));
    return;
  }
  const [negated, below] = [edit.freshName(`${n.output()}/negated`), edit.freshName(`${n.output()}/below`)];
  edit.after.push(...(n.opType === 'ReduceMax' ? [makeNode('Relu', [result], [n.output()])]
    : [makeNode('Neg', [result], [negated]), makeNode('Relu', [negated], [below]), makeNode('Neg', [below], [n.output()])]));
}

/** Same shape in and out, one axis (or the last ones) mixed. */
const along = (axesOf: (n: NodeAxes) => number[]) => (n: NodeAxes): void => {
  n.inputShape(0).forEach((_, k) => { n.alias(n.outAxis(k), 0, n.inAxis(0, k)); });
  for (const axis of axesOf(n)) n.axes.freeze(n.inAxis(0, axis), `${n.opType} over the axis`);
};
/** Before opset 13, Softmax works on all axes from `axis` on, 1 by default. */
const softmaxAxes = (n: NodeAxes): number[] => {
  if (n.opset >= 13) return [n.int('axis', -1)];
  const rank = n.inputShape(0).length, first = positive(n.int('axis', 1), rank);
  return Array.from({ length: rank - first }, (_, i) => first + i);
};

function arg(n: NodeAxes): void {
  const rank = n.inputShape(0).length, axis = positive(n.int('axis', 0), rank), keep = n.int('keepdims', 1) === 1;
  n.axes.freeze(n.inAxis(0, axis), `${n.opType} over the axis`);
  let out = 0;
  n.inputShape(0).forEach((_, k) => { if (k !== axis) n.axes.alias(n.outAxis(out++), n.inAxis(0, k)); else if (keep) out++; });
}

function topK(n: NodeAxes): void {
  const rank = n.inputShape(0).length, axis = positive(n.int('axis', -1), rank);
  for (let o = 0; o < n.node.output.length; o++) {
    if (n.output(o) === '') continue;
    n.inputShape(0).forEach((_, k) => { // equal values have different indices: only the values of zeros are zero
      if (k !== axis) n.axes.alias(n.outAxis(k, o), n.inAxis(0, k));
      if (k !== axis && o === 0) n.link(n.outAxis(k), 0, n.inAxis(0, k));
    });
    n.axes.freeze(n.outAxis(axis, o), 'TopK over the axis');
  }
  n.axes.freeze(n.inAxis(0, axis), 'TopK over the axis');
}

/** DFT (ONNX 17: the axis is an attribute; 20: an input): one axis is mixed, which the result may be shorter along; the last holds real and imaginary parts. */
function fourier(n: NodeAxes): void {
  const rank = n.inputShape(0).length, given = n.opset < 20 ? n.int('axis', 1) : n.has(2) ? n.intsIn(2)?.[0] : -2;
  if (given === undefined) { n.freezeAll('DFT over an axis that depends on the data'); return; }
  const mixed = [positive(given, rank), rank - 1];
  n.inputShape(0).forEach((_, k) => {
    if (mixed.includes(k)) for (const axis of [n.inAxis(0, k), n.outAxis(k)]) n.axes.freeze(axis, 'DFT over the axis');
    else n.alias(n.outAxis(k), 0, n.inAxis(0, k));
  });
}

/** Batch and channels pass through, space is mixed. */
const space = (n: NodeAxes): void => {
  n.outputShape().forEach((_, k) => {
    const x = n.inAxis(0, k), y = n.outAxis(k);
    if (k < 2) n.alias(y, 0, x); else for (const axis of [x, y]) n.axes.freeze(axis, `spatial axis of ${n.opType}`);
  });
  for (let o = 1; o < n.node.output.length; o++) if (n.output(o) !== '') for (const k of [0, 1]) n.axes.alias(n.outAxis(k, o), n.inAxis(0, k)); // indices: not zero where the values are
};
/** Indices that MaxPool returns count elements of the whole tensor: channels may go only where nothing but MaxUnpool reads them. */
const pool: Rule = {
  zeros: [0],
  relate: (n) => {
    space(n);
    const indices = n.opType === 'MaxPool' ? n.output(1) : '';
    const readBack = !n.view.isOutput(indices) && n.view.usesOf(indices).every(({ node }) => node.opType === 'MaxUnpool');
    if (indices !== '' && !readBack) n.axes.freeze(n.outAxis(1), 'MaxPool that returns indices');
  },
};

export const reduction: Readonly<Record<string, Rule>> = {
  ...Object.fromEntries(['ReduceSum', 'ReduceL1', 'ReduceL2', 'ReduceSumSquare'].map((name) => [name, { relate: reduce(true), zeros: [0] } satisfies Rule])),
  ...Object.fromEntries(['ReduceMean', 'ReduceMax', 'ReduceMin'].map((name) => [name, compensated])),
  ReduceLogSum: { relate: reduce(true) }, ReduceLogSumExp: { relate: reduce(false) }, ReduceProd: { relate: reduce(false), zeros: [0] },
  ...Object.fromEntries(['Softmax', 'LogSoftmax', 'Hardmax'].map((name) => [name, { relate: along(softmaxAxes) } satisfies Rule])),
  ArgMax: { relate: arg }, ArgMin: { relate: arg }, TopK: { relate: topK, zeros: [0] },
  DFT: { relate: fourier, zeros: [0] },
  CumSum: { relate: along((n) => n.intsIn(1) ?? Array.from(n.inputShape(0), (_, k) => k)), zeros: [0] },
};

/** By how much a Resize (ONNX 10 to 19) scales an axis; sizes, and scales that are not constant, are told by the shapes. */
function factor(n: NodeAxes, k: number): number {
  const named = n.ints('axes')?.map((axis) => positive(axis, n.inputShape(0).length)), entry = named ? named.indexOf(k) : k;
  const scales = n.constantIn(n.opset < 11 ? 1 : 2);
  const given = scales && isFloatTensor(scales.tensor) && entry >= 0 ? floatsOf(scales.tensor)[entry] : undefined;
  return stringAttribute(n.node, 'coordinate_transformation_mode', '') === 'tf_crop_and_resize' ? NaN : given ?? 1;
}

export const pooling: Readonly<Record<string, Rule>> = {
  ...Object.fromEntries(['MaxPool', 'AveragePool', 'LpPool', 'GlobalAveragePool', 'GlobalMaxPool', 'GlobalLpPool'].map((name) => [name, pool])),
  MaxUnpool: {
    zeros: [0],
    relate: (n) => { space(n); n.alias(n.outAxis(0), 1, n.inAxis(1, 0)); n.alias(n.outAxis(1), 1, n.inAxis(1, 1)); },
    rewrite: (n, edit) => { if (n.has(2)) edit.scaleSizes(2, n.axes.axesOf(n.output())); },
  },
  GridSample: {
    zeros: [0],
    relate: (n) => {
      space(n);
      n.freezeInput(1, 'sampling grid');
      n.axes.alias(n.outAxis(0), n.inAxis(1, 0));
    },
  },
  RoiAlign: {
    zeros: [0],
    relate: (n) => {
      n.alias(n.outAxis(1), 0, n.inAxis(0, 1));
      for (const k of [0, 2, 3]) n.axes.freeze(n.inAxis(0, k), 'axis of RoiAlign');
      for (const k of [0, 2, 3]) n.axes.freeze(n.outAxis(k), 'axis of RoiAlign');
      for (const i of [1, 2]) n.freezeInput(i, 'regions of RoiAlign');
    },
  },
  Resize: {
    zeros: [0],
    relate: (n) => {
      n.outputShape().forEach((size, k) => {
        const x = n.inAxis(0, k), y = n.outAxis(k);
        if (size === n.inputShape(0)[k] && factor(n, k) === 1) n.alias(y, 0, x);
        else for (const axis of [x, y]) n.axes.freeze(axis, 'axis of Resize');
      });
    },
    rewrite: (n, edit) => { if (n.has(3)) edit.scaleSizes(3, (n.ints('axes') ?? n.outputShape().map((_, k) => k)).map((k) => n.outAxis(k))); },
  },
  Upsample: { relate: space, zeros: [0] },
};
