/** Operators that choose, join or repeat positions: Concat, Split, Slice, Gather, Expand, Tile, Pad, DepthToSpace, SpaceToDepth. */
import { floatAttribute, makeNode, setAttribute, stringAttribute } from '../../onnx/attributes.ts';
import { rawBytes } from '../../onnx/tensor.ts';
import type { AxisId } from '../axes.ts';
import { type NodeAxes, positive } from '../nodeAxes.ts';
import type { NodeEdit, Rule } from '../rule.ts';
import { selected } from './shuffle.ts';

/** Aliases every axis but `except` of an input with the same axis of an output. */
function aliasOthers(n: NodeAxes, except: number, input: number, output = 0): void {
  n.outputShape(output).forEach((_, k) => { if (k !== except) n.alias(n.outAxis(k, output), input, n.inAxis(input, k)); });
}

/** Output position i is data position index[i]; runs of neighbours are told as such, since they also fit axes made of factors. */
function select(n: NodeAxes, out: AxisId, data: AxisId, index: Int32Array): void {
  n.link(out, 0, data);
  const run = index.every((position, i) => position === index[0]! + i);
  if (run && index.length === n.axes.sizeOf(data)) n.axes.alias(out, data);
  else if (run) n.axes.relate({ kind: 'segment', a: data, offsetA: index[0] ?? 0, b: out, offsetB: 0, length: index.length });
  else n.axes.relate({ kind: 'select', out, data, index });
}

function concat(n: NodeAxes): void {
  const axis = positive(n.int('axis', 1), n.outputShape().length), out = n.outAxis(axis);
  let offset = 0;
  n.node.input.forEach((_, i) => {
    const from = n.inAxis(i, axis), size = n.inputShape(i)[axis]!;
    aliasOthers(n, axis, i);
    n.link(out, i, from);
    if (size > 0) n.axes.relate({ kind: 'segment', a: from, offsetA: 0, b: out, offsetB: offset, length: size });
    offset += size;
  });
  if (n.node.input.every((_, i) => n.inputShape(i)[axis]! <= 1)) n.axes.freeze(out, 'single positions joined');
}

function split(n: NodeAxes): void {
  const axis = positive(n.int('axis', 0), n.inputShape(0).length);
  let offset = 0;
  n.node.output.forEach((name, o) => {
    if (name === '') return;
    const size = n.outputShape(o)[axis]!;
    aliasOthers(n, axis, 0, o);
    n.link(n.outAxis(axis, o), 0, n.inAxis(0, axis));
    if (size > 0) n.axes.relate({ kind: 'segment', a: n.inAxis(0, axis), offsetA: offset, b: n.outAxis(axis, o), offsetB: 0, length: size });
    offset += size;
  });
}

function rewriteSplit(n: NodeAxes, edit: NodeEdit): void {
  const axis = positive(n.int('axis', 0), n.inputShape(0).length);
  if (!edit.kept(n.inAxis(0, axis))) return;
  const sizes = n.node.output.map((_, o) => edit.size(n.outAxis(axis, o)));
  const node = edit.node();
  if (n.opset < 13) { setAttribute(node, 'split', sizes); return; }
  node.attribute = node.attribute.filter(({ name }) => name !== 'num_outputs');
  node.input = [n.input(0), edit.constant(sizes, [sizes.length])];
}

/** Start, end and step of a Slice for each axis it names, from attributes (opset < 10) or inputs; undefined where they are unknown. */
function sliceArguments(n: NodeAxes): { axes: number[]; starts: number[]; ends: number[]; steps: number[] } | undefined {
  const old = n.opset < 10;
  const starts = old ? n.ints('starts') : n.intsIn(1), ends = old ? n.ints('ends') : n.intsIn(2);
  if (!starts || !ends) return undefined;
  const given = old ? n.ints('axes') : n.has(3) ? n.intsIn(3) : undefined;
  const axes = (given ?? starts.map((_, i) => i)).map((axis) => positive(axis, n.inputShape(0).length));
  const steps = !old && n.has(4) ? n.intsIn(4) : starts.map(() => 1);
  return steps && { axes, starts, ends, steps };
}

/** Data positions that a Slice takes along one axis (ONNX Slice 13). */
function slicePositions(size: number, start: number, end: number, step: number): Int32Array {
  const clamp = (value: number, low: number, high: number): number => Math.min(high, Math.max(low, value < 0 ? value + size : value));
  const positions: number[] = [];
  if (step > 0) for (let i = clamp(start, 0, size), stop = clamp(end, 0, size); i < stop; i += step) positions.push(i);
  else for (let i = clamp(start, 0, size - 1), stop = end < -size ? -1 : clamp(end, -1, size - 1); i > stop; i += step) positions.push(i);
  return Int32Array.from(positions);
}

function slice(n: NodeAxes): void {
  const args = sliceArguments(n);
  n.outputShape().forEach((size, k) => {
    const at = args ? args.axes.indexOf(k) : -1, out = n.outAxis(k), data = n.inAxis(0, k);
    if (args && at < 0) { n.alias(out, 0, data); return; }
    const positions = args && slicePositions(n.inputShape(0)[k]!, args.starts[at]!, args.ends[at]!, args.steps[at]!);
    if (positions?.length === size) select(n, out, data, positions);
    else for (const axis of [out, data]) n.axes.freeze(axis, 'Slice at positions that depend on the data');
  });
}

/** Axes whose positions change are taken by Gather at constant positions; a Slice of the others stays. */
function rewriteSlice(n: NodeAxes, edit: NodeEdit): void {
  const args = sliceArguments(n);
  if (!args) return;
  const rank = n.inputShape(0).length, shape = n.inputShape(0);
  const changed = args.axes.map((k) => edit.kept(n.inAxis(0, k)) !== undefined);
  if (!changed.includes(true)) return;
  const bounds = args.axes.map((k, i) => {
    const positions = slicePositions(shape[k]!, args.starts[i]!, args.ends[i]!, args.steps[i]!);
    return selected(positions, edit.kept(n.outAxis(k)), edit.kept(n.inAxis(0, k)));
  });
  const run = (positions: readonly number[]): boolean => positions.every((p, j) => p === positions[0]! + j);
  const constant = [1, 2].every((i) => n.opset < 10 || n.view.constants.has(n.input(i)));
  if (constant && args.axes.every((_, i) => !changed[i] || run(bounds[i]!))) {
    const starts = args.starts.map((start, i) => (changed[i] ? bounds[i]![0]! : start));
    const ends = args.ends.map((end, i) => (changed[i] ? bounds[i]!.at(-1)! + 1 : end));
    const steps = args.steps.map((step, i) => (changed[i] ? 1 : step));
    if (n.opset < 10) { setAttribute(edit.node(), 'starts', starts); setAttribute(edit.node(), 'ends', ends); return; }
    edit.setInts(1, starts);
    edit.setInts(2, ends);
    if (n.has(4)) edit.setInts(4, steps);
    return;
  }
  // take the changed axes by Gather, and leave the rest to the Slice with whole ranges on those axes
  let value = n.input(0);
  args.axes.forEach((k, i) => {
    if (!changed[i]) return;
    const next = edit.freshName(`${n.output()}/axis${k}`);
    edit.before.push(makeNode('Gather', [value, edit.constant(bounds[i]!, [bounds[i]!.length])], [next], { axis: positive(k, rank) }));
    value = next;
  });
  const left = args.axes.map((_, i) => i).filter((i) => !changed[i]);
  const list = (values: readonly number[]): string => edit.constant(left.map((i) => values[i]!), [left.length]);
  if (left.length === 0) { edit.replace([makeNode('Identity', [value], [n.output()], {}, n.node.name)]); return; }
  const node = edit.node();
  if (n.opset < 10) { for (const name of ['starts', 'ends', 'axes'] as const) setAttribute(node, name, left.map((i) => args[name][i]!)); node.input = [value]; return; }
  const pick = edit.constant(left, [left.length]);
  const taken = (input: number): string => { // computed bounds stay computed
    const next = edit.freshName(`${n.output()}/bounds${input}`);
    edit.before.push(makeNode('Gather', [n.input(input), pick], [next], { axis: 0 }));
    return next;
  };
  node.input = [value, taken(1), taken(2), list(args.axes), n.has(4) ? taken(4) : ''].filter((name, i) => name !== '' || i < 4);
}

function gather(n: NodeAxes): void {
  const data = n.inputShape(0), indices = n.inputShape(1), axis = positive(n.int('axis', 0), data.length);
  data.forEach((_, k) => {
    if (k === axis) return;
    n.alias(n.outAxis(k < axis ? k : k + indices.length - 1), 0, n.inAxis(0, k));
    if (n.constantIn(0)) n.generates(0, k);
  });
  const from = n.inAxis(0, axis), positions = n.view.constants.has(n.input(1)) ? n.intsIn(1)?.map((p) => positive(p, data[axis]!)) : undefined;
  if (!positions) {
    n.axes.freeze(from, 'Gather at positions that depend on the data');
    indices.forEach((_, k) => { n.alias(n.outAxis(axis + k), 1, n.inAxis(1, k)); });
  } else if (indices.length === 1) select(n, n.outAxis(axis), from, Int32Array.from(positions));
  else { // a scalar or a table of positions: each of them must stay
    for (let k = 0; k < indices.length; k++) n.axes.freeze(n.outAxis(axis + k), 'Gather with a table of positions');
    n.axes.relate({ kind: 'select', out: n.axes.virtualFrozen(positions.length, 'Gather of single positions'), data: from, index: Int32Array.from(positions) });
  }
}

function rewriteGather(n: NodeAxes, edit: NodeEdit): void {
  const rank = n.inputShape(0).length, axis = positive(n.int('axis', 0), rank), kept = edit.kept(n.inAxis(0, axis));
  if (!kept) return;
  const positions = n.intsIn(1)!.map((p) => positive(p, n.inputShape(0)[axis]!)), dims = n.inputShape(1);
  const indices = selected(positions, dims.length === 1 ? edit.kept(n.outAxis(axis)) : undefined, kept);
  edit.setInts(1, indices, dims.length === 1 ? [indices.length] : dims);
}

/** Positions that a Pad puts before and behind each axis; undefined where they depend on the data. */
function padding(n: NodeAxes): { before: number[]; after: number[]; entryOf: (k: number) => number } | undefined {
  const rank = n.inputShape(0).length, given = n.opset < 11 ? n.ints('pads') : n.intsIn(1), named = n.has(3) ? n.intsIn(3)?.map((axis) => positive(axis, rank)) : undefined;
  if (!given) return undefined;
  const entryOf = (k: number): number => (named ? named.indexOf(k) : k), half = given.length / 2;
  const list = (from: number): number[] => n.outputShape().map((_, k) => (entryOf(k) < 0 ? 0 : given[from + entryOf(k)]!));
  return { before: list(0), after: list(half), entryOf };
}

function pad(n: NodeAxes): void {
  const pads = padding(n), mode = stringAttribute(n.node, 'mode', 'constant');
  n.outputShape().forEach((size, k) => {
    const out = n.outAxis(k), from = n.inAxis(0, k), length = n.inputShape(0)[k]!;
    if (pads?.before[k] === 0 && pads.after[k] === 0) { n.alias(out, 0, from); return; }
    const channels = k === 1 && pads && mode === 'constant' && pads.before[k]! >= 0 && pads.after[k]! >= 0 && n.view.constants.has(n.input(1));
    if (!channels || length === 0 || size === 0) { for (const axis of [out, from]) n.axes.freeze(axis, 'Pad along the axis'); return; }
    // what is padded is nobody's: it can go whenever what it is added to goes
    n.axes.relate({ kind: 'segment', a: from, offsetA: 0, b: out, offsetB: pads.before[k]!, length });
    n.link(out, 0, from);
  });
}

/** Whether zeros stay zeros: what is put around them is zero, or copied from them. */
const padsZeros = (n: NodeAxes): boolean => stringAttribute(n.node, 'mode', 'constant') !== 'constant' || ((!n.has(2) || n.scalarIn(2) === 0) && floatAttribute(n.node, 'value', 0) === 0);

function rewritePad(n: NodeAxes, edit: NodeEdit): void {
  const pads = padding(n), kept = edit.kept(n.outAxis(1));
  if (!pads || !kept || pads.before[1]! + pads.after[1]! === 0) return;
  const { before, after, entryOf } = pads, size = n.outputShape()[1]!, values = [...n.intsIn(1)!];
  values[entryOf(1)] = kept.filter((position) => position < before[1]!).length;
  values[values.length / 2 + entryOf(1)] = kept.filter((position) => position >= size - after[1]!).length;
  edit.setInts(1, values);
}

/** Channel blocks that DepthToSpace and SpaceToDepth (ONNX 13) move into space are an axis of their own. */
function blocks(n: NodeAxes, deep: AxisId, shallow: AxisId, blockFirst: boolean): void {
  const block = n.axes.virtualFrozen(n.int('blocksize', 1) ** 2, `block of ${n.opType}`);
  n.alias(n.outAxis(0), 0, n.inAxis(0, 0));
  for (const axis of [n.outAxis(2), n.outAxis(3), n.inAxis(0, 2), n.inAxis(0, 3)]) n.axes.freeze(axis, `spatial axis of ${n.opType}`);
  n.axes.regroup([deep], blockFirst ? [block, shallow] : [shallow, block]);
  n.link(n.outAxis(1), 0, n.inAxis(0, 1));
}

/** Whether a value is zero everywhere: a constant, spread by nodes that only change its shape. */
export function isZero(n: NodeAxes, value: string): boolean {
  const tensor = n.view.constants.get(value);
  if (tensor) return rawBytes(tensor).every((byte) => byte === 0);
  const producer = n.view.producers.get(value);
  return producer !== undefined && ['Expand', 'Reshape', 'Identity', 'Unsqueeze', 'Squeeze'].includes(producer.opType) && isZero(n, producer.input[0] ?? '');
}

export const movement: Readonly<Record<string, Rule>> = {
  Concat: { relate: concat, zeros: 'linked' },
  Split: { relate: split, zeros: 'linked', rewrite: rewriteSplit },
  Slice: { relate: slice, zeros: 'linked', rewrite: rewriteSlice },
  Gather: { relate: gather, zeros: 'linked', rewrite: rewriteGather },
  Expand: {
    zeros: 'linked',
    relate: (n) => { n.broadcast(0); },
    rewrite: (n, edit) => { edit.scaleSizes(1, alignedAxes(n)); },
  },
  Tile: {
    zeros: 'linked',
    relate: (n) => {
      n.outputShape().forEach((size, k) => {
        const from = n.inputShape(0)[k]!;
        if (size === from) n.alias(n.outAxis(k), 0, n.inAxis(0, k));
        else if (from > 1) n.regroup([n.outAxis(k)], 0, [n.axes.virtualFrozen(size / from, 'repeats of Tile'), n.inAxis(0, k)]);
      });
    },
    rewrite: (n, edit) => { // an axis that Tile makes out of one position has as many repeats as positions are wanted
      if (n.outputShape().some((_, k) => n.inputShape(0)[k] === 1 && edit.kept(n.outAxis(k)))) {
        edit.scaleSizes(1, n.outputShape().map((_, k) => (n.inputShape(0)[k] === 1 ? n.outAxis(k) : undefined)));
      }
    },
  },
  Pad: { relate: pad, zeros: (n) => (padsZeros(n) ? [0] : undefined), rewrite: rewritePad },
  DepthToSpace: {
    zeros: 'linked',
    relate: (n) => { blocks(n, n.inAxis(0, 1), n.outAxis(1), stringAttribute(n.node, 'mode', 'DCR') === 'DCR'); },
  },
  SpaceToDepth: { zeros: 'linked', relate: (n) => { blocks(n, n.outAxis(1), n.inAxis(0, 1), true); } },
};

/** The output axes that the entries of an Expand's shape input stand for. */
function alignedAxes(n: NodeAxes): AxisId[] {
  const count = n.inputShape(1)[0] ?? 0, rank = n.outputShape().length;
  return Array.from({ length: count }, (_, i) => n.outAxis(rank - count + i));
}
