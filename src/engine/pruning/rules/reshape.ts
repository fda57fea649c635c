/** Operators that keep the row-major order of elements: Reshape, Flatten, Squeeze, Unsqueeze; and Transpose. */
import { makeNode } from '../../onnx/attributes.ts';
import { DataType } from '../../onnx/tensor.ts';
import type { NodeAxes } from '../nodeAxes.ts';
import type { NodeEdit, Rule } from '../rule.ts';
import { relateShuffle, rewriteShuffle } from './shuffle.ts';

/**
 * Pairs the shortest runs of axes with equal products, in order; axes of size 1 belong to no run.
 * @returns pairs of input and output axis lists; undefined where the shapes don't hold the same elements
 */
export function matchDims(from: readonly number[], to: readonly number[]): { from: number[]; to: number[] }[] | undefined {
  const pairs: { from: number[]; to: number[] }[] = [];
  let i = 0, j = 0;
  for (;;) {
    while (i < from.length && from[i] === 1) i++;
    while (j < to.length && to[j] === 1) j++;
    if (i === from.length && j === to.length) return pairs;
    if (i === from.length || j === to.length) return undefined;
    const pair = { from: [i], to: [j] };
    let left = from[i++]!, right = to[j++]!;
    while (left !== right) {
      if (left < right) {
        if (i === from.length) return undefined;
        if (from[i] !== 1) pair.from.push(i);
        left *= from[i++]!;
      } else {
        if (j === to.length) return undefined;
        if (to[j] !== 1) pair.to.push(j);
        right *= to[j++]!;
      }
      if (left === 0 || right === 0) return undefined;
    }
    pairs.push(pair);
  }
}

function relateReshape(n: NodeAxes): void {
  if (relateShuffle(n)) return;
  const pairs = matchDims(n.inputShape(0), n.outputShape());
  if (!pairs) { n.freezeAll(`${n.opType} of an empty or data-dependent shape`); return; }
  for (const { from, to } of pairs) {
    const inAxes = from.map((axis) => n.inAxis(0, axis)), outAxes = to.map((axis) => n.outAxis(axis));
    if (from.length === 1 && to.length === 1) n.alias(outAxes[0]!, 0, inAxes[0]!);
    else n.regroup(outAxes, 0, inAxes);
  }
}

function rewriteReshape(n: NodeAxes, edit: NodeEdit): void {
  if (rewriteShuffle(n, edit)) return;
  if (n.has(1)) edit.scaleSizes(1, n.axes.axesOf(n.output()), n.int('allowzero', 0) === 0 ? n.axes.axesOf(n.input(0)) : []);
}

/**
 * A Squeeze without axes removes every axis of size 1, also one that pruning has just made so. The sizes that it leaves are then picked when it runs,
 * since a batch of one goes and a larger one stays: those above 1, and those that were before. Each size is repeated once or not at all: operators that pick by condition came with opset 9.
 */
function rewriteSqueeze(n: NodeAxes, edit: NodeEdit): void {
  const single = n.axes.axesOf(n.input(0)).map((axis) => edit.kept(axis) !== undefined && edit.size(axis) === 1);
  if (n.has(1) || n.hasAttribute('axes') || !single.includes(true)) return;
  const name = (part: string): string => edit.freshName(`${n.output()}/${part}`), [sizes, rest, stays, times, left] = [name('sizes'), name('rest'), name('stays'), name('times'), name('left')];
  const parts = single.map((_, k) => ({ at: edit.constant([k], [1]), size: name('size'), count: name('count'), part: name('part') }));
  edit.replace([
    makeNode('Shape', [n.input(0)], [sizes]),
    makeNode('Sub', [sizes, edit.constant(single.map((own) => (own ? 0 : 1)), [single.length])], [rest]), // 0 where an axis goes
    makeNode('Cast', [rest], [stays], { to: DataType.BOOL }),
    makeNode('Cast', [stays], [times], { to: DataType.INT64 }),
    ...parts.flatMap(({ at, size, count, part }) => [makeNode('Gather', [sizes, at], [size]), makeNode('Gather', [times, at], [count]), makeNode('Tile', [size, count], [part])]),
    makeNode('Concat', parts.map(({ part }) => part), [left], { axis: 0 }),
    makeNode('Reshape', [n.input(0), left], [n.output()], {}, n.node.name),
  ]);
}

const orderKept = (rewrite?: Rule['rewrite']): Rule => ({ relate: relateReshape, zeros: 'linked', ...(rewrite ? { rewrite } : {}) });

export const reshape: Readonly<Record<string, Rule>> = {
  Reshape: orderKept(rewriteReshape),
  Flatten: orderKept(), Squeeze: orderKept(rewriteSqueeze), Unsqueeze: orderKept(),
  Transpose: {
    zeros: 'linked',
    relate: (n) => {
      const rank = n.outputShape().length, order = n.ints('perm') ?? Array.from({ length: rank }, (_, i) => rank - 1 - i);
      order.forEach((from, to) => { n.alias(n.outAxis(to), 0, n.inAxis(0, from)); });
    },
  },
};
