/**
 * Channel shuffles: Reshape, Transpose, Reshape that together permute the positions of one axis (Zhang et al. 2018, ShuffleNet).
 * The chain is one relation at its last node; its inner values have no relations, so the axis is not split into factors.
 */
import type { NodeProto } from 'onnx-buf';
import { intsAttribute, makeNode } from '../../onnx/attributes.ts';
import type { GraphView } from '../../onnx/graphView.ts';
import type { Axes } from '../axes.ts';
import type { NodeAxes } from '../nodeAxes.ts';
import type { NodeEdit } from '../rule.ts';

interface Shuffle { readonly nodes: readonly [NodeProto, NodeProto, NodeProto]; readonly source: string; readonly axis: number; readonly index: Int32Array }

const same = (a: readonly number[], b: readonly number[]): boolean => a.length === b.length && a.every((value, i) => value === b[i]);
const known = new WeakMap<Axes, Map<NodeProto, Shuffle>>();

function soleUser(view: GraphView, value: string): NodeProto | undefined {
  const uses = view.usesOf(value);
  return uses.length === 1 && !view.isOutput(value) && !view.capturedBySubgraphs.has(value) ? uses[0]!.node : undefined;
}

/** The shuffle that starts at a Reshape, if one does. */
function shuffleAt(first: NodeProto, view: GraphView, axes: Axes): Shuffle | undefined {
  const transpose = soleUser(view, first.output[0]!);
  if (transpose?.opType !== 'Transpose') return undefined;
  const last = soleUser(view, transpose.output[0]!);
  if (last?.opType !== 'Reshape' || last.input[0] !== transpose.output[0]) return undefined;
  const source = first.input[0]!, outer = axes.shapeOf(source), inner = axes.shapeOf(first.output[0]!), out = axes.shapeOf(last.output[0]!);
  const order = intsAttribute(transpose, 'perm');
  if (!outer || !inner || !out || !order || !same(outer, out)) return undefined;
  // the axes before and after the split one stay in place
  let axis = 0, tail = 0;
  while (axis < outer.length && outer[axis] === inner[axis] && order[axis] === axis) axis++;
  while (tail < outer.length - axis - 1 && outer.at(-1 - tail) === inner.at(-1 - tail) && order.at(-1 - tail) === inner.length - 1 - tail) tail++;
  const factors = inner.slice(axis, inner.length - tail);
  if (outer.length - axis - tail !== 1 || factors.length < 2) return undefined;
  const moved = order.slice(axis, inner.length - tail).map((from) => from - axis);
  const strides = factors.map((_, i) => factors.slice(i + 1).reduce((a, b) => a * b, 1));
  const index = new Int32Array(outer[axis]!);
  for (let to = 0; to < index.length; to++) {
    let rest = to, from = 0;
    for (let i = moved.length - 1; i >= 0; i--) { const f = moved[i]!; from += (rest % factors[f]!) * strides[f]!; rest = Math.floor(rest / factors[f]!); }
    index[to] = from;
  }
  return { nodes: [first, transpose, last], source, axis, index };
}

/**
 * A selection after pruning: where each kept output position now stands in the kept data positions.
 * @param index data position of each output position, before
 */
export function selected(index: ArrayLike<number>, keptOut: Int32Array | undefined, keptData: Int32Array | undefined): number[] {
  const wanted = keptOut ? Array.from(keptOut, (position) => index[position]!) : Array.from(index);
  if (!keptData) return wanted;
  const rank = new Map(Array.from(keptData, (position, i) => [position, i]));
  return wanted.map((position) => rank.get(position)!);
}

/** Finds every shuffle of a graph once; @returns the shuffle a node belongs to */
function shuffleOf(n: NodeAxes): Shuffle | undefined {
  let found = known.get(n.axes);
  if (!found) {
    found = new Map();
    for (const node of n.view.nodes) {
      if (node.opType !== 'Reshape' || found.has(node)) continue;
      const shuffle = shuffleAt(node, n.view, n.axes);
      if (shuffle) for (const member of shuffle.nodes) found.set(member, shuffle);
    }
    known.set(n.axes, found);
  }
  return found.get(n.node);
}

/** @returns whether the node belongs to a shuffle, whose relation stands at its last node */
export function relateShuffle(n: NodeAxes): boolean {
  const shuffle = shuffleOf(n);
  if (!shuffle) return false;
  if (n.node !== shuffle.nodes[2]) return true;
  n.outputShape().forEach((_, k) => {
    const out = n.outAxis(k), from = n.axes.axis(shuffle.source, k);
    if (k !== shuffle.axis) { n.axes.alias(out, from); n.link(out, 0, from); return; }
    n.axes.relate({ kind: 'select', out, data: from, index: shuffle.index });
    n.link(out, 0, from);
  });
  return true;
}

/** A shuffle of fewer channels is no longer a transposition: Gather takes its place. @returns whether the node belongs to a shuffle */
export function rewriteShuffle(n: NodeAxes, edit: NodeEdit): boolean {
  const shuffle = shuffleOf(n);
  if (!shuffle) return false;
  if (n.node !== shuffle.nodes[2]) return true;
  if (!n.axes.axesOf(shuffle.source).some((axis) => edit.kept(axis))) return true;
  const indices = selected(shuffle.index, edit.kept(n.outAxis(shuffle.axis)), edit.kept(n.axes.axis(shuffle.source, shuffle.axis)));
  edit.drop(shuffle.nodes.slice(0, 2));
  const name = edit.constant(indices, [indices.length]);
  edit.replace([makeNode('Gather', [shuffle.source, name], [n.output()], { axis: shuffle.axis }, n.node.name)]);
  return true;
}
