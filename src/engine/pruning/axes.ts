import type { NodeProto } from 'onnx-buf';
import { UnionFind } from './unionFind.ts';

/** One axis of one value (initializers included), as a small integer. */
export type AxisId = number;

/** How the positions of two axes (or lists of axes) of different values belong together; `alias`, the commonest, is a union and not stored. */
export type Relation =
  /** Positions offsetA .. offsetA+length-1 of a are positions offsetB .. of b. */
  | { readonly kind: 'segment'; readonly a: AxisId; readonly offsetA: number; readonly b: AxisId; readonly offsetB: number; readonly length: number }
  /** Position i of `out` is position index[i] of `data`. */
  | { readonly kind: 'select'; readonly out: AxisId; readonly data: AxisId; readonly index: Int32Array }
  /** The row-major products of both lists of axes are the same positions. */
  | { readonly kind: 'regroup'; readonly as: readonly AxisId[]; readonly bs: readonly AxisId[] };

/** One input axis that an output axis of a node comes from. */
export interface Link { readonly node: NodeProto; readonly input: number; readonly axis: AxisId }

/** A sum over an axis: of products of two operands (both axes given), or of one. Zeros on either operand make dropped positions vanish. */
export interface Contraction { readonly node: NodeProto; readonly operands: readonly AxisId[] }

/** What a multiply-accumulate count is made of: constant * product of the sizes of axes. */
export interface CostItem { readonly node: NodeProto; readonly constant: number; readonly axes: readonly AxisId[] }

/**
 * The axes of all values of a graph and how they are related: what the operator rules write and the analysis reads.
 * Axes whose positions are the same one by one are united at once and share everything (a class of axes).
 */
export class Axes {
  readonly sizes: number[] = [];
  readonly relations: Relation[] = [];
  /** For an output axis, the input axes of the same node that its positions come from. */
  readonly links = new Map<AxisId, Link[]>();
  readonly contractions: Contraction[] = [];
  readonly costs: CostItem[] = [];
  /** The axis that a grouped operator's groups make. */
  readonly groupAxes = new Map<NodeProto, AxisId>();
  private readonly bases = new Map<string, number>();
  private readonly shapes: ReadonlyMap<string, readonly number[]>;
  private readonly owners: { readonly value: string; readonly base: number }[] = [];
  private readonly classes = new UnionFind();
  private readonly frozenReasons = new Map<AxisId, string>();

  constructor(shapes: ReadonlyMap<string, readonly number[]>) { this.shapes = shapes; }

  /** Dims of a value in the run that found them; undefined for values that are not tensors. */
  shapeOf(value: string): readonly number[] | undefined { return this.shapes.get(value); }
  get values(): Iterable<string> { return this.shapes.keys(); }

  axis(value: string, axis: number): AxisId {
    const shape = this.shapes.get(value);
    if (!shape || axis < 0 || axis >= shape.length) throw new RangeError(`value ${value} has no axis ${axis}`);
    let base = this.bases.get(value);
    if (base === undefined) {
      base = this.classes.add(shape.length);
      this.bases.set(value, base);
      for (const size of shape) { this.sizes.push(size); this.owners.push({ value, base }); }
    }
    return base + axis;
  }

  axesOf(value: string): AxisId[] { return (this.shapes.get(value) ?? []).map((_, i) => this.axis(value, i)); }
  /** An axis of no value: the groups of a convolution, the blocks of DepthToSpace. */
  virtual(size: number): AxisId {
    const base = this.classes.add(1);
    this.sizes.push(size);
    this.owners.push({ value: '', base });
    return base;
  }

  virtualFrozen(size: number, reason: string): AxisId {
    const axis = this.virtual(size);
    this.freeze(axis, reason);
    return axis;
  }

  ownerOf(axis: AxisId): { value: string; axis: number } { const { value, base } = this.owners[axis]!; return { value, axis: axis - base }; }
  sizeOf(axis: AxisId): number { return this.sizes[axis]!; }
  /** The representative of all axes that have the same positions. */
  classOf(axis: AxisId): AxisId { return this.classes.find(axis); }
  get count(): number { return this.sizes.length; }

  /** Position i of a is position i of b. Axes of size 1 stay apart: they broadcast. */
  alias(a: AxisId, b: AxisId): void {
    if (this.sizes[a] !== this.sizes[b]) {
      if (this.sizes[a] === 1 || this.sizes[b] === 1) return;
      throw new RangeError(`axes of sizes ${this.sizes[a]} and ${this.sizes[b]} can't be the same`);
    }
    if (this.sizes[a] === 1) return;
    const reason = this.frozenReason(a) ?? this.frozenReason(b);
    const root = this.classes.unite(a, b);
    if (reason !== undefined && !this.frozenReasons.has(root)) this.frozenReasons.set(root, reason);
  }

  /** The row-major products of both lists have the same positions. */
  regroup(as: readonly AxisId[], bs: readonly AxisId[]): void {
    const real = (axes: readonly AxisId[]): AxisId[] => axes.filter((axis) => this.sizes[axis] !== 1);
    const left = real(as), right = real(bs);
    if (left.length === 1 && right.length === 1) this.alias(left[0]!, right[0]!);
    else if (left.length + right.length > 0) this.relations.push({ kind: 'regroup', as: left, bs: right });
  }

  relate(relation: Relation): void { this.relations.push(relation); }

  /** Nothing may be removed along the axis. The first reason given is the one that is told. */
  freeze(axis: AxisId, reason: string): void {
    const root = this.classOf(axis);
    if (!this.frozenReasons.has(root)) this.frozenReasons.set(root, reason);
  }
  frozenReason(axis: AxisId): string | undefined { return this.frozenReasons.get(this.classOf(axis)); }

  /** An axis regrouped from frozen ones alone is frozen for their reason. */
  freezeThroughRegroups(): void {
    for (let changed = true; changed;) {
      changed = false;
      for (const relation of this.relations) {
        if (relation.kind !== 'regroup') continue;
        for (const [from, to] of [[relation.as, relation.bs], [relation.bs, relation.as]] as const) {
          const reason = from.length > 0 && from.every((axis) => this.frozenReason(axis) !== undefined) ? this.frozenReason(from[0]!) : undefined;
          for (const axis of to) if (reason !== undefined && this.frozenReason(axis) === undefined) { this.freeze(axis, reason); changed = true; }
        }
      }
    }
  }

  link(out: AxisId, link: Link): void {
    const list = this.links.get(out);
    if (list) list.push(link); else this.links.set(out, [link]);
  }
}
