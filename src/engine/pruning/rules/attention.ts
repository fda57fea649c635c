/**
 * Attention as one operator: Attention and RotaryEmbedding (ONNX 23), and com.microsoft's Attention, MultiHeadAttention, GroupQueryAttention.
 * Heads, the width of queries and keys, and the width of values are axes; a last axis [heads * width] is their product.
 */
import { floatAttribute, setAttribute } from '../../onnx/attributes.ts';
import type { AxisId } from '../axes.ts';
import type { NodeAxes } from '../nodeAxes.ts';
import type { NodeEdit, Rule } from '../rule.ts';

/** What a node calls its parts: input and output positions, and attributes. */
interface Signature {
  readonly heads: string;
  readonly keyHeads?: string;
  /** Inputs that are added to the scores, or mask them: [batch, heads, queries, keys] or less. */
  readonly masks: readonly number[];
  /** Keys and values of earlier steps [batch, heads, time, width], as inputs and as outputs. */
  readonly past: readonly [number, number];
  readonly present: readonly [number, number];
  readonly scores?: number;
  /** A bias [queries + keys + values]. */
  readonly bias?: number;
  /** Inputs that are none of that and say nothing about channels. */
  readonly plain?: readonly number[];
}

interface Widths { readonly keyHeads: AxisId; readonly groups: AxisId; readonly depth: AxisId }
const widths = new WeakMap<NodeAxes['axes'], Map<NodeAxes['node'], Widths>>();

function attention(signature: Signature): Rule {
  const { heads, keyHeads = heads, masks, past, present, scores, bias, plain = [] } = signature;

  const relate = (n: NodeAxes): void => {
    const { axes } = n, rank = n.inputShape(0).length, four = rank === 4;
    const known = new Set([0, 1, 2, ...masks, ...past, ...plain, ...(bias === undefined ? [] : [bias])]);
    const fits = [0, 1, 2].every((i) => n.has(i) && n.inputShape(i).length === rank) && (rank === 3 || four)
      && n.node.input.every((name, i) => name === '' || known.has(i)) && n.int('do_rotary', 0) === 0 && n.int('unidirectional', 0) === 0;
    const count = four ? n.inputShape(0)[1]! : n.int(heads, 0), keyCount = four ? n.inputShape(1)[1]! : n.int(keyHeads, 0);
    if (!fits || !(count > 0) || count % keyCount !== 0) { n.freezeAll(`this form of ${n.opType}`); return; }
    const [queryHeads, ownHeads, groups] = [axes.virtual(count), axes.virtual(keyCount), axes.virtual(count / keyCount)];
    const depth = axes.virtual(n.inputShape(0).at(-1)! / (four ? 1 : count)), valueDepth = axes.virtual(n.inputShape(2).at(-1)! / (four ? 1 : keyCount));
    axes.regroup([queryHeads], [ownHeads, groups]);
    /** Tells what the heads and widths of a value are. */
    const layout = (own: readonly AxisId[], of: AxisId, width: AxisId): void => {
      if (own.length === 4) { axes.alias(own[1]!, of); axes.alias(own[3]!, width); } else axes.regroup([own[2]!], [of, width]);
    };
    const query = axes.axesOf(n.input(0)), key = axes.axesOf(n.input(1)), value = axes.axesOf(n.input(2)), out = axes.axesOf(n.output()), time = four ? 2 : 1;
    layout(query, queryHeads, depth);
    layout(key, ownHeads, depth);
    layout(value, ownHeads, valueDepth);
    layout(out, queryHeads, valueDepth);
    for (const batch of [key[0]!, value[0]!, out[0]!]) axes.alias(query[0]!, batch);
    axes.alias(query[time]!, out[time]!);
    axes.freeze(query[time]!, `queries of ${n.opType}`);
    for (const axis of [key[time]!, value[time]!]) axes.freeze(axis, `${n.opType} over the axis`);
    for (const [values, width] of [[[n.input(past[0]), n.output(present[0])], depth], [[n.input(past[1]), n.output(present[1])], valueDepth]] as const) {
      for (const name of values) {
        if (name === '') continue;
        const own = axes.axesOf(name);
        if (own.length !== 4) { n.freezeAll(`this form of ${n.opType}`); return; }
        layout(own, ownHeads, width);
        axes.freeze(own[2]!, `${n.opType} over the axis`);
      }
    }
    const overHeads = (own: readonly AxisId[]): void => own.forEach((axis, k) => { if (k === own.length - 3 && axes.sizeOf(axis) > 1) axes.alias(axis, queryHeads); else axes.freeze(axis, `scores of ${n.opType}`); });
    for (const input of masks) if (n.has(input)) overHeads(axes.axesOf(n.input(input)));
    if (scores !== undefined && n.output(scores) !== '') overHeads(axes.axesOf(n.output(scores)));
    for (const input of plain) if (n.has(input)) n.freezeInput(input, `input of ${n.opType}`);

    const last = (own: readonly AxisId[]): AxisId => own.at(-1)!;
    n.link(last(out), 2, last(value));
    if (four) n.link(out[1]!, 2, value[1]!);
    if (n.has(past[1])) { // what is attended to are these values and those before them
      const [, heads, , width] = axes.axesOf(n.input(past[1])) as [AxisId, AxisId, AxisId, AxisId];
      n.link(last(out), past[1], width);
      n.link(four ? out[1]! : last(out), past[1], heads);
    }
    axes.contractions.push({ node: n.node, operands: n.has(past[0]) ? [last(query)] : [last(query), last(key)] });
    if (bias !== undefined && n.has(bias)) { // runs of the bias belong to queries, keys and values
      const own = n.inAxis(bias, 0);
      let offset = 0;
      for (const axis of [last(query), last(key), last(value)]) {
        axes.relate({ kind: 'segment', a: own, offsetA: offset, b: axis, offsetB: 0, length: axes.sizeOf(axis) });
        offset += axes.sizeOf(axis);
      }
      n.link(last(out), bias, own);
      axes.contractions.push({ node: n.node, operands: [own] });
    }
    const keys = n.output(present[0]) === '' ? key[time]! : n.outAxis(2, present[0]);
    const perHead = (own: readonly AxisId[]): AxisId[] => (four ? [own[1]!, own[3]!] : [own[2]!]);
    for (const own of [query, out]) n.cost(1, [query[0]!, query[time]!, keys, ...perHead(own)]);
    const all = widths.get(axes) ?? new Map<NodeAxes['node'], Widths>();
    widths.set(axes, all.set(n.node, { keyHeads: ownHeads, groups, depth }));
  };

  const rewrite = (n: NodeAxes, edit: NodeEdit): void => {
    const own = widths.get(n.axes)?.get(n.node);
    if (!own) return;
    keepScale(n, edit, own.depth);
    if (n.inputShape(0).length === 4 || (!edit.kept(own.keyHeads) && !edit.kept(own.groups))) return;
    setAttribute(edit.node(), heads, edit.size(own.keyHeads) * edit.size(own.groups));
    if (keyHeads !== heads) setAttribute(edit.node(), keyHeads, edit.size(own.keyHeads));
  };
  return { relate, rewrite, zeros: [2, past[1], ...(bias === undefined ? [] : [bias])] };
}

/** Scores are divided by the root of the width of a head: of the one before pruning, the operator must be told. */
function keepScale(n: NodeAxes, edit: NodeEdit, depth: AxisId): void {
  if (edit.kept(depth) && floatAttribute(n.node, 'scale', 0) === 0) setAttribute(edit.node(), 'scale', { float: 1 / Math.sqrt(n.axes.sizeOf(depth)) });
}

/** com.microsoft.Attention: the projection [width, 3 * heads * depth] is part of the node. */
const packed: Rule = {
  zeros: [1, 2],
  relate: (n) => {
    const { axes } = n, count = n.int('num_heads', 0), width = n.inputShape(1)[1]! / 3, sizes = n.ints('qkv_hidden_sizes');
    const plain = !n.has(4) && n.int('do_rotary', 0) === 0 && n.output(1) === '' && (sizes ?? []).every((size) => size === width);
    if (!plain || !(count > 0) || !n.has(2)) { n.freezeAll(`this form of ${n.opType}`); return; }
    const heads = axes.virtual(count), depth = axes.virtual(width / count), weight = n.inAxis(1, 1), bias = n.inAxis(2, 0), out = n.outAxis(2);
    n.contract(n.inAxis(0, 2), n.inAxis(1, 0));
    for (const axis of [weight, bias]) {
      axes.regroup([axis], [axes.virtualFrozen(3, `queries, keys and values of ${n.opType}`), heads, depth]);
      axes.contractions.push({ node: n.node, operands: [axis] });
    }
    axes.regroup([out], [heads, depth]);
    n.link(out, 1, weight);
    n.link(out, 2, bias);
    axes.alias(n.outAxis(0), n.inAxis(0, 0));
    axes.alias(n.outAxis(1), n.inAxis(0, 1));
    axes.freeze(n.inAxis(0, 1), `${n.opType} over the axis`);
    for (const input of [3, 5]) if (n.has(input)) n.freezeInput(input, `scores of ${n.opType}`);
    n.generates(1, 1);
    n.cost(1, [n.inAxis(0, 0), n.inAxis(0, 1), ...axes.axesOf(n.input(1))]);
    n.cost(2, [n.inAxis(0, 0), n.inAxis(0, 1), n.inAxis(0, 1), out]);
    const all = widths.get(axes) ?? new Map<NodeAxes['node'], Widths>();
    widths.set(axes, all.set(n.node, { keyHeads: heads, groups: heads, depth }));
  },
  rewrite: (n, edit) => {
    const own = widths.get(n.axes)?.get(n.node);
    if (!own) return;
    keepScale(n, edit, own.depth);
    if (edit.kept(own.keyHeads)) setAttribute(edit.node(), 'num_heads', edit.size(own.keyHeads));
    if (n.hasAttribute('qkv_hidden_sizes')) setAttribute(edit.node(), 'qkv_hidden_sizes', [0, 1, 2].map(() => edit.size(n.outAxis(2))));
  },
};

/** Pairs of positions turn together: those of the two halves of a head, or neighbours. @param tables inputs with cosines and sines */
function rotary(tables: readonly [number, number], plain: readonly number[]): Rule {
  return {
    zeros: [0],
    relate: (n) => {
      const { axes } = n, four = n.inputShape(0).length === 4, count = four ? n.inputShape(0)[1]! : n.int('num_heads', 0);
      n.broadcast(0);
      const last = n.inAxis(0, -1), half = n.inAxis(tables[0], -1), width = n.inputShape(0).at(-1)! / (four ? 1 : count);
      if (!(count > 0) || 2 * axes.sizeOf(half) !== width || n.int('is_packed_batching', 0) !== 0) { n.freezeAll(`this form of ${n.opType}`); return; }
      axes.alias(half, n.inAxis(tables[1], -1));
      for (const input of tables) for (const axis of axes.axesOf(n.input(input)).slice(0, -1)) axes.freeze(axis, `positions of ${n.opType}`);
      for (const input of plain) if (n.has(input)) n.freezeInput(input, `positions of ${n.opType}`);
      const pair = axes.virtualFrozen(2, `pairs of ${n.opType}`), depth = n.int('interleaved', 0) ? [half, pair] : [pair, half];
      if (four) { axes.regroup([last], depth); return; }
      const heads = axes.virtual(count);
      axes.groupAxes.set(n.node, heads);
      axes.regroup([last], [heads, ...depth]);
    },
    rewrite: (n, edit) => { const heads = n.axes.groupAxes.get(n.node); if (heads !== undefined && edit.kept(heads)) setAttribute(edit.node(), 'num_heads', edit.size(heads)); },
  };
}

export const attentionRules: Readonly<Record<string, Rule>> = {
  Attention: attention({ heads: 'q_num_heads', keyHeads: 'kv_num_heads', masks: [3], past: [4, 5], present: [1, 2], scores: 3, plain: [6] }),
  RotaryEmbedding: rotary([1, 2], [3]),
};

export const microsoftAttentionRules: Readonly<Record<string, Rule>> = {
  Attention: packed,
  MultiHeadAttention: attention({ heads: 'num_heads', masks: [5], past: [6, 7], present: [1, 2], bias: 3, plain: [4] }),
  GroupQueryAttention: attention({ heads: 'num_heads', keyHeads: 'kv_num_heads', masks: [], past: [3, 4], present: [1, 2], plain: [5, 6] }),
  RotaryEmbedding: rotary([2, 3], [1]),
};
