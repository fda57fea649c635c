import type { Axes, AxisId, Relation } from './axes.ts';
import { UnionFind } from './unionFind.ts';

/**
 * Axes as row-major products of atoms. A Reshape that splits heads x width off an axis cuts that axis, and every axis that has the same
 * positions, at the stride of the width; between two cuts lies an atom. Positions can be dropped along each atom by itself.
 * Cuts are carried through all relations until nothing changes; where two of them don't divide one another the axes are frozen.
 */
export class Atoms {
  private readonly axes: Axes;
  /** Strides above 1 at which a class of axes is cut, ascending; each divides the next. */
  private readonly cuts = new Map<AxisId, number[]>();
  private readonly broken = new Set<AxisId>();
  private readonly byClass = new Map<AxisId, readonly number[]>();
  private readonly sets = new UnionFind();
  private readonly sizes: number[] = [];
  private readonly reasons = new Map<number, string>();

  constructor(axes: Axes) {
    this.axes = axes;
    this.freezeThroughRegroups();
    this.propagateCuts();
    this.makeAtoms();
  }

  /** Atoms of an axis, outermost first, as representatives; none for an axis of size 0 or 1. */
  of(axis: AxisId): readonly number[] { return (this.byClass.get(this.axes.classOf(axis)) ?? []).map((atom) => this.sets.find(atom)); }
  sizeOf(atom: number): number { return this.sizes[atom]!; }
  frozenReason(atom: number): string | undefined { return this.reasons.get(this.sets.find(atom)); }
  /** Whether the axis could not be cut consistently; its atoms then say nothing about other axes. */
  isBroken(axis: AxisId): boolean { return this.broken.has(this.axes.classOf(axis)); }
  /** Every atom that stands for itself. */
  *[Symbol.iterator](): Generator<number> { for (let atom = 0; atom < this.sizes.length; atom++) if (this.sets.find(atom) === atom) yield atom; }

  private freezeThroughRegroups(): void {
    for (let changed = true; changed;) {
      changed = false;
      for (const relation of this.axes.relations) {
        if (relation.kind !== 'regroup') continue;
        for (const [from, to] of [[relation.as, relation.bs], [relation.bs, relation.as]] as const) {
          const reason = from.length > 0 && from.every((axis) => this.axes.frozenReason(axis) !== undefined) ? this.axes.frozenReason(from[0]!) : undefined;
          for (const axis of to) if (reason !== undefined && this.axes.frozenReason(axis) === undefined) { this.axes.freeze(axis, reason); changed = true; }
        }
      }
    }
  }

  private cutsOf(axis: AxisId): readonly number[] { return this.cuts.get(this.axes.classOf(axis)) ?? []; }

  private break(axes: readonly AxisId[]): boolean {
    let changed = false;
    for (const axis of axes) {
      const root = this.axes.classOf(axis);
      if (this.broken.has(root) || this.axes.sizeOf(axis) <= 1) continue;
      this.broken.add(root);
      this.cuts.delete(root);
      this.axes.freeze(axis, 'the axis is split in ways that do not fit together');
      changed = true;
    }
    return changed;
  }

  /** Adds strides to a class. @returns whether anything changed (a conflict breaks the axis) */
  private cut(axis: AxisId, strides: readonly number[]): boolean {
    const size = this.axes.sizeOf(axis), own = this.cutsOf(axis);
    const fresh = strides.filter((stride) => stride > 1 && stride < size && !own.includes(stride));
    if (fresh.length === 0 || this.isBroken(axis)) return false;
    const merged = [...own, ...fresh].sort((a, b) => a - b);
    if ([...merged, size].some((stride, i, all) => i > 0 && stride % all[i - 1]! !== 0)) return this.break([axis]);
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
      case 'regroup': return this.propagateRegroup([relation.as, relation.bs]);
      case 'select': {
        const both = [relation.out, relation.data];
        return both.some((axis) => this.cutsOf(axis).length > 0) && this.break(both);
      }
      case 'segment': {
        const { a, offsetA, b, offsetB, length } = relation;
        let changed = false;
        for (const [from, to] of [[a, b], [b, a]] as const) {
          const offset = from === a ? offsetA : offsetB;
          for (const stride of this.cutsOf(from)) {
            const divides = [offsetA, offsetB, length].every((value) => value % stride === 0);
            const inside = Math.floor(offset / stride) === Math.floor((offset + length - 1) / stride);
            if (stride < length && divides) { if (this.cut(to, [stride])) changed = true; } else if (!inside) return this.break([a, b]) || changed;
          }
        }
        return changed;
      }
    }
  }

  private propagateRegroup(sides: readonly [readonly AxisId[], readonly AxisId[]]): boolean {
    const all = [...sides[0], ...sides[1]];
    if (all.every((axis) => this.axes.frozenReason(axis) !== undefined)) return false;
    if (all.some((axis) => this.isBroken(axis))) return this.break(all);
    const cuts = new Set<number>();
    for (const side of sides) {
      let base = 1;
      for (const axis of side.toReversed()) {
        for (const stride of [1, ...this.cutsOf(axis)]) cuts.add(base * stride);
        base *= this.axes.sizeOf(axis);
      }
    }
    const sorted = [...cuts].sort((a, b) => a - b);
    if (sorted.some((stride, i) => i > 0 && stride % sorted[i - 1]! !== 0)) return this.break(all);
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
    for (const relation of this.axes.relations) {
      if (relation.kind !== 'regroup') continue;
      const [left, right] = [relation.as, relation.bs].map((side) => side.flatMap((axis) => this.of(axis)));
      if ([...relation.as, ...relation.bs].some((axis) => this.isBroken(axis))) continue;
      if (left!.length === right!.length && left!.every((atom, i) => this.sizes[atom] === this.sizes[right![i]!])) left!.forEach((atom, i) => this.sets.unite(atom, right![i]!));
      else for (const axis of [...relation.as, ...relation.bs]) this.axes.freeze(axis, 'the axis is split in ways that do not fit together');
    }
    for (const [root, atoms] of this.byClass) {
      const reason = this.axes.frozenReason(root);
      if (reason !== undefined) for (const atom of atoms) this.freeze(atom, reason);
    }
  }

  freeze(atom: number, reason: string): void {
    const root = this.sets.find(atom);
    if (!this.reasons.has(root)) this.reasons.set(root, reason);
  }
}
