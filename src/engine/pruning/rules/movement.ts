/** Operators that choose, join or repeat positions: Concat, Split, Slice, Gather, Expand, Tile, Pad, DepthToSpace, SpaceToDepth. */
import { floatAttribute, makeNode, setAttribute, stringAttribute } from '../../onnx/attributes.ts';
import { rawBytes } from '../../onnx/tensor.ts';
import { type Adjustment, adjusted, replacedBy, scaled, unchanged } from '../adjustment.ts';
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
  else if (run && index.length > 0) n.axes.relate({ kind: 'segment', a: data, offsetA: index[0]!, b: out, offsetB: 0, length: index.length });
  else if (!run) n.axes.relate({ kind: 'select', out, data, index });
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

/** Sizes of `count` equal parts, the last ones smaller where it doesn't come out even (ONNX Split 18). */
function equalParts(size: number, count: number): number[] {
  const part = Math.ceil(size / count);
  return Array.from({ length: count }, (_, i) => Math.max(0, Math.min(part, size - i * part)));
}

/** Sizes of the parts of a Split along its axis: stated (an attribute before ONNX 13, an input from then on) or equal; undefined where they depend on the data. */
function partSizes(n: NodeAxes, axis: number): number[] | undefined {
  return n.has(1) ? n.intsIn(1) : n.ints('split') ?? equalParts(n.inputShape(0)[axis]!, n.node.output.length);
}

function split(n: NodeAxes): void {
  const axis = positive(n.int('axis', 0), n.inputShape(0).length), from = n.inAxis(0, axis), sizes = partSizes(n, axis);
  if (!sizes) n.axes.freeze(from, 'Split at positions that depend on the data');
  let offset = 0;
  n.node.output.forEach((name, o) => {
    const size = sizes?.[o] ?? 0;
    if (name !== '') {
      const out = n.outAxis(axis, o);
      aliasOthers(n, axis, 0, o);
      n.link(out, 0, from);
      if (!sizes) n.axes.freeze(out, 'Split at positions that depend on the data');
      else if (size > 0) n.axes.relate({ kind: 'segment', a: from, offsetA: offset, b: out, offsetB: 0, length: size });
    }
    offset += size;
  });
}

function rewriteSplit(n: NodeAxes, edit: NodeEdit): void {
  const axis = positive(n.int('axis', 0), n.inputShape(0).length), kept = edit.kept(n.inAxis(0, axis)), before = partSizes(n, axis);
  if (!kept || !before) return;
  let offset = 0;
  const after = before.map((size) => { const from = offset; offset += size; return kept.filter((position) => position >= from && position < offset).length; });
  const equal = equalParts(kept.length, after.length);
  if (n.has(1)) edit.adjustInts(1, after.map((size, i) => (size === before[i] ? unchanged : scaled(size, before[i]!))));
  else if (!n.hasAttribute('split') && (n.opset >= 18 || kept.length % after.length === 0) && after.every((size, i) => size === equal[i])) return; // equal parts stay equal, whatever the size; the last may be smaller since opset 18
  else if (n.opset < 13) setAttribute(edit.node(), 'split', after);
  else {
    const node = edit.node();
    node.attribute = node.attribute.filter(({ name }) => name !== 'num_outputs');
    node.input = [n.input(0), edit.constant(after, [after.length])];
  }
}

/** The axes that a Slice names, by an attribute (opset < 10) or an input, or as many as it has starts; undefined where they depend on the data. */
function sliceAxes(n: NodeAxes): number[] | undefined {
  const old = n.opset < 10, rank = n.inputShape(0).length, count = old ? n.ints('starts')?.length : n.inputShape(1)[0];
  if (old ? n.hasAttribute('axes') : n.has(3)) return (old ? n.ints('axes') : n.intsIn(3))?.map((axis) => positive(axis, rank));
  return Array.from({ length: count ?? 0 }, (_, i) => i);
}

/** Start, end and step of a Slice for each axis it names, from attributes (opset < 10) or inputs; undefined where they depend on the data. */
function sliceBounds(n: NodeAxes): { starts: number[]; ends: number[]; steps: number[] } | undefined {
  const old = n.opset < 10, starts = old ? n.ints('starts') : n.intsIn(1), ends = old ? n.ints('ends') : n.intsIn(2);
  const steps = !old && n.has(4) ? n.intsIn(4) : starts?.map(() => 1);
  return starts && ends && steps && { starts, ends, steps };
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
  const axes = sliceAxes(n), bounds = sliceBounds(n);
  n.outputShape().forEach((size, k) => {
    const at = axes ? axes.indexOf(k) : -1, out = n.outAxis(k), data = n.inAxis(0, k);
    if (axes && at < 0) { n.alias(out, 0, data); return; }
    const positions = axes && bounds && slicePositions(n.inputShape(0)[k]!, bounds.starts[at]!, bounds.ends[at]!, bounds.steps[at]!);
    if (positions?.length === size) select(n, out, data, positions);
    else for (const axis of [out, data]) n.axes.freeze(axis, 'Slice at positions that depend on the data');
  });
}

/** A bound at or beyond every end. */
const open = 2 ** 31 - 1;

/** The length after which the kept positions of an axis repeat: where it is the product of others (time and channels, say), the channels' part of it. */
function periodOf(kept: Int32Array, size: number): number {
  for (let period = 1; period < size; period++) {
    const each = (kept.length * period) / size;
    if (size % period === 0 && Number.isInteger(each) && kept.every((position, i) => i + each >= kept.length || kept[i + each] === position + period)) return period;
  }
  return size;
}

/** What becomes of a bound of a Slice, so that it keeps its form (from the front, from the back, open) and holds at other lengths of the axis too. */
function boundChange(bound: number, kept: Int32Array, size: number): Adjustment {
  const period = periodOf(kept, size), each = (kept.length * period) / size, repeats = Math.floor(bound / period);
  if (Math.abs(bound) >= open) return unchanged;
  if (bound % period === 0) return scaled(each, period);
  const moved = repeats * each + kept.filter((position) => position < bound - repeats * period).length;
  return replacedBy(bound < 0 && moved === 0 ? open : moved); // 0 from the back is the end
}

/** What a Slice still takes one after the other stays a Slice; positions that are no longer evenly spaced are taken by Gather. */
function rewriteSlice(n: NodeAxes, edit: NodeEdit): void {
  const axes = sliceAxes(n), bounds = sliceBounds(n), shape = n.inputShape(0);
  if (!axes || !bounds) return;
  const taken: { axis: number; positions: number[] }[] = [];
  const changes = axes.map((k, i) => {
    const kept = edit.kept(n.inAxis(0, k)), size = shape[k]!, start = bounds.starts[i]!, end = bounds.ends[i]!, step = bounds.steps[i]!;
    if (!kept) return { start: unchanged, end: unchanged, step: unchanged };
    const positions = slicePositions(size, start, end, step), wanted = selected(positions, edit.kept(n.outAxis(k)), kept), range = slicePositions(size, start, end, 1);
    if (step > 0 && kept.filter((position) => position >= (range[0] ?? size) && position <= range.at(-1)!).length === wanted.length) {
      return { start: boundChange(start, kept, size), end: boundChange(end, kept, size), step: step === 1 ? unchanged : replacedBy(1) };
    }
    taken.push({ axis: k, positions: wanted });
    return { start: replacedBy(0), end: replacedBy(open), step: replacedBy(1) };
  });
  let value = n.input(0);
  const gathers = taken.map(({ axis, positions }) => {
    const next = edit.freshName(`${n.output()}/axis${axis}`), node = makeNode('Gather', [value, edit.constant(positions, [positions.length])], [next], { axis });
    value = next;
    return node;
  });
  const last = gathers.at(-1);
  if (last && taken.length === axes.length) { last.output = [n.output()]; edit.replace(gathers); return; }
  edit.before.push(...gathers);
  if (last) edit.node().input[0] = value;
  if (n.opset < 10) for (const [name, part] of [['starts', 'start'], ['ends', 'end']] as const) setAttribute(edit.node(), name, adjusted(bounds[name], changes.map((change) => change[part])));
  else for (const [input, part] of [[1, 'start'], [2, 'end'], [4, 'step']] as const) if (n.has(input)) edit.adjustInts(input, changes.map((change) => change[part]));
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
  const axis = positive(n.int('axis', 0), n.inputShape(0).length), kept = edit.kept(n.inAxis(0, axis));
  if (!kept) return;
  const given = n.intsIn(1)!, dims = n.inputShape(1), keptOut = dims.length === 1 ? edit.kept(n.outAxis(axis)) : undefined;
  const moved = selected(given.map((p) => positive(p, n.inputShape(0)[axis]!)), keptOut, kept);
  const indices = moved.map((position, i) => (given[keptOut?.[i] ?? i]! < 0 ? position - kept.length : position)); // from the back stays from the back: the axis may have other lengths
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
