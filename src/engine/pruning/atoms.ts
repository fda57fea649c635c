import type { Axes, AxisId, Relation } from './axes.ts';
import { UnionFind } from './unionFind.ts';

/** Whether each number divides the next. */
const isChain = (ascending: readonly number[]): boolean => ascending.every((value, i) => i === 0 || value % ascending[i - 1]! === 0);

/**
 * Axes as row-major products of atoms. A Reshape that splits heads x width off an axis cuts that axis, and every axis that has the same
 * positions, at the stride of the width; between two cuts lies an atom. Positions can be dropped along each atom by itself.
 * Cuts are carried through all relations until nothing changes. An axis that two of them would cut at strides that don't divide one another
 * stays uncut: of the factors it is made of, only the largest can then lose positions, the same ones in every repetition.
 */
export class Atoms {
  private readonly axes: Axes;
  /** Strides above 1 at which a class of axes is cut, ascending; each divides the next. */
  private readonly cuts = new Map<AxisId, number[]>();
  /** Classes of axes that must not be cut. */
  private readonly flat = new Set<AxisId>();
  private readonly byClass = new Map<AxisId, readonly number[]>();
  private readonly sets = new UnionFind();
  private readonly sizes: number[] = [];
  private readonly reasons = new Map<number, string>();

  constructor(axes: Axes) {
    this.axes = axes;
    axes.freezeThroughRegroups();
    this.propagateCuts();
    this.makeAtoms();
  }

  /** Atoms of an axis, outermost first, as representatives; none for an axis of size 0 or 1. */
  of(axis: AxisId): readonly number[] { return (this.byClass.get(this.axes.classOf(axis)) ?? []).map((atom) => this.sets.find(atom)); }
  sizeOf(atom: number): number { return this.sizes[atom]!; }
  frozenReason(atom: number): string | undefined { return this.reasons.get(this.sets.find(atom)); }
  /** Every atom that stands for itself. */
  *[Symbol.iterator](): Generator<number> { for (let atom = 0; atom < this.sizes.length; atom++) if (this.sets.find(atom) === atom) yield atom; }

  private cutsOf(axis: AxisId): readonly number[] { return this.cuts.get(this.axes.classOf(axis)) ?? []; }

  private isFlat(axis: AxisId): boolean { return this.flat.has(this.axes.classOf(axis)); }

  /** @returns whether anything changed */
  private flatten(axes: readonly AxisId[]): boolean {
    let changed = false;
    for (const axis of axes) {
      const root = this.axes.classOf(axis);
      if (this.flat.has(root) || this.axes.sizeOf(axis) <= 1) continue;
      this.flat.add(root);
      this.cuts.delete(root);
      changed = true;
    }
    return changed;
  }

  /** Gives up on a regrouping: its axes have no factors in common that could be told apart. */
  private shatter(axes: readonly AxisId[]): boolean {
    for (const axis of axes) this.axes.freeze(axis, 'the axis is split in ways that do not fit together');
    return this.flatten(axes);
  }

  /** Adds strides to a class. @returns whether anything changed */
  private cut(axis: AxisId, strides: readonly number[]): boolean {
    const size = this.axes.sizeOf(axis), own = this.cutsOf(axis);
    const fresh = strides.filter((stride) => stride > 1 && stride < size && !own.includes(stride));
    if (fresh.length === 0 || this.isFlat(axis)) return false;
    const merged = [...own, ...fresh].sort((a, b) => a - b);
    if (!isChain([...merged, size])) return this.flatten([axis]);
    this.cuts.set(this.axes.classOf(axis), merged);
    return true;
  }

  private propagateCuts(): void {
    for (let changed = true; changed;) {
      changed = false;
      for (const relation of this.axes.relations) if (this.propagate(relation)) changed = true;
    }
  }

  private propagate(relation: Relation): boolean {
    switch (relation.kind) {
      case 'regroup': return this.propagateRegroup(relation.as, relation.bs);
      case 'select': {
        const both = [relation.out, relation.data];
        return both.some((axis) => this.cutsOf(axis).length > 0) && this.flatten(both);
      }
      case 'segment': {
        const { a, offsetA, b, offsetB, length } = relation;
        let changed = false;
        for (const [from, to] of [[a, b], [b, a]] as const) {
          const offset = from === a ? offsetA : offsetB;
          for (const stride of this.cutsOf(from)) {
            const divides = [offsetA, offsetB, length].every((value) => value % stride === 0);
            const inside = Math.floor(offset / stride) === Math.floor((offset + length - 1) / stride);
            if (stride < length && divides && !this.isFlat(to)) { if (this.cut(to, [stride])) changed = true; } else if (!inside) return this.flatten([a, b]) || changed;
          }
        }
        return changed;
      }
    }
  }

  private propagateRegroup(as: readonly AxisId[], bs: readonly AxisId[]): boolean {
    const all = [...as, ...bs], sides = [as, bs];
    if (all.every((axis) => this.axes.frozenReason(axis) !== undefined)) return false;
    const whole = sides.find((side) => side.length === 1)?.[0];
    if (whole !== undefined && this.isFlat(whole)) return false;
    if (all.some((axis) => this.isFlat(axis) && this.axes.frozenReason(axis) === undefined)) return whole !== undefined ? this.flatten([whole]) : this.shatter(all);
    const cuts = new Set<number>();
    for (const side of sides) {
      let base = 1;
      for (const axis of side.toReversed()) {
        for (const stride of [1, ...this.cutsOf(axis)]) cuts.add(base * stride);
        base *= this.axes.sizeOf(axis);
      }
    }
    const sorted = [...cuts].sort((a, b) => a - b);
    if (!isChain(sorted)) return whole !== undefined ? this.flatten([whole]) : this.shatter(all);
    let changed = false;
    for (const side of sides) {
      let base = 1;
      for (const axis of side.toReversed()) {
        const from = base, to = base * this.axes.sizeOf(axis);
        if (this.cut(axis, sorted.filter((stride) => stride > from && stride < to).map((stride) => stride / from))) changed = true;
        base = to;
      }
    }
    return changed;
  }

  private makeAtoms(): void {
    for (let axis = 0; axis < this.axes.count; axis++) {
      const root = this.axes.classOf(axis), size = this.axes.sizeOf(axis);
      if (size <= 1 || this.byClass.has(root)) continue;
      const strides = [1, ...this.cutsOf(root), size];
      const sizes = strides.slice(1).map((stride, i) => stride / strides[i]!).reverse();
      const first = this.sets.add(sizes.length);
      this.sizes.push(...sizes);
      this.byClass.set(root, sizes.map((_, i) => first + i));
    }
    for (const relation of [...this.axes.relations]) {
      if (relation.kind !== 'regroup') continue;
      const { as, bs } = relation, [left, right] = [as, bs].map((side) => side.flatMap((axis) => this.of(axis)));
      if (left!.length === right!.length && left!.every((atom, i) => this.sizes[atom] === this.sizes[right![i]!])) left!.forEach((atom, i) => this.sets.unite(atom, right![i]!));
      else if (as.length === 1) this.tie(as[0]!, bs);
      else if (bs.length === 1) this.tie(bs[0]!, as);
      else for (const axis of [...as, ...bs]) this.axes.freeze(axis, 'the axis is split in ways that do not fit together');
    }
    for (const [root, atoms] of this.byClass) {
      const reason = this.axes.frozenReason(root);
      if (reason !== undefined) for (const atom of atoms) this.freeze(atom, reason);
    }
  }

  /** An axis that is not cut although it is a product of others: its positions are those of the largest factor, repeated. */
  private tie(whole: AxisId, factors: readonly AxisId[]): void {
    const free = factors.filter((axis) => this.axes.frozenReason(axis) === undefined && this.of(axis).length === 1);
    const largest = free.toSorted((a, b) => this.axes.sizeOf(b) - this.axes.sizeOf(a))[0];
    for (const axis of factors) if (axis !== largest) this.axes.freeze(axis, 'the axis is split in ways that do not fit together');
    if (largest === undefined || this.of(whole).length > 1) { this.axes.freeze(whole, 'the axis is split in ways that do not fit together'); return; }
    const stride = factors.slice(factors.indexOf(largest) + 1).reduce((product, axis) => product * this.axes.sizeOf(axis), 1), size = this.axes.sizeOf(largest);
    this.axes.relate({ kind: 'select', out: whole, data: largest, index: Int32Array.from({ length: this.axes.sizeOf(whole) }, (_, i) => Math.floor(i / stride) % size) });
  }

  freeze(atom: number, reason: string): void {
    const root = this.sets.find(atom);
    if (!this.reasons.has(root)) this.reasons.set(root, reason);
  }
}
