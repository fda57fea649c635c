import type { Axes, AxisId } from './axes.ts';
import type { Atoms } from './atoms.ts';
import { UnionFind } from './unionFind.ts';

/**
 * Classes of positions: positions of atoms that can only be dropped together, as disjoint sets. Frozen atoms have no positions of their own;
 * whatever is united with one is frozen.
 */
export class Positions {
  private readonly atoms: Atoms;
  private readonly sets = new UnionFind();
  private readonly bases = new Map<number, number>();
  private readonly reasons = new Map<number, string>();

  constructor(axes: Axes, atoms: Atoms) {
    this.atoms = atoms;
    for (const atom of atoms) if (atoms.frozenReason(atom) === undefined) this.bases.set(atom, this.sets.add(atoms.sizeOf(atom)));
    for (const relation of axes.relations) {
      if (relation.kind === 'segment') this.segment(axes, relation.a, relation.offsetA, relation.b, relation.offsetB, relation.length);
      if (relation.kind === 'select') this.select(relation.out, relation.data, relation.index);
    }
    this.freezeWholeAtoms();
  }

  /** Atoms that have positions. */
  get prunableAtoms(): Iterable<number> { return this.bases.keys(); }
  hasPositions(atom: number): boolean { return this.bases.has(atom); }
  /** Class of a position of an atom; -1 where it is frozen. */
  classOf(atom: number, index: number): number {
    const base = this.bases.get(atom);
    if (base === undefined) return -1;
    const root = this.sets.find(base + index);
    return this.reasons.has(root) ? -1 : root;
  }
  reasonFor(atom: number, index: number): string | undefined {
    const base = this.bases.get(atom);
    return base === undefined ? this.atoms.frozenReason(atom) : this.reasons.get(this.sets.find(base + index));
  }
  /** @param position any member of the class */
  freezeClass(position: number, reason: string): void {
    const root = this.sets.find(position);
    if (!this.reasons.has(root)) this.reasons.set(root, reason);
  }

  private freezeAt(atom: number, index: number, reason: string): void {
    const base = this.bases.get(atom);
    if (base !== undefined) this.freezeClass(base + index, reason);
  }
  private freezeAtom(atom: number, reason: string): void { for (let i = 0; i < this.atoms.sizeOf(atom); i++) this.freezeAt(atom, i, reason); }

  private unite(atomA: number, indexA: number, atomB: number, indexB: number): void {
    const a = this.bases.get(atomA), b = this.bases.get(atomB);
    if (a === undefined || b === undefined) {
      const reason = this.reasonFor(a === undefined ? atomA : atomB, 0) ?? 'frozen';
      if (a !== undefined) this.freezeClass(a + indexA, reason);
      if (b !== undefined) this.freezeClass(b + indexB, reason);
      return;
    }
    const reason = this.reasons.get(this.sets.find(a + indexA)) ?? this.reasons.get(this.sets.find(b + indexB));
    const root = this.sets.unite(a + indexA, b + indexB);
    if (reason !== undefined) this.freezeClass(root, reason);
  }

  private segment(axes: Axes, a: AxisId, offsetA: number, b: AxisId, offsetB: number, length: number): void {
    const left = [...this.atoms.of(a)], right = [...this.atoms.of(b)];
    if (axes.sizeOf(a) <= 1 || axes.sizeOf(b) <= 1) { // a single position stays, and so does what it is
      if (left.length > 0) this.freezeRange(left, offsetA, length, 'a single position of the axis is used');
      if (right.length > 0) this.freezeRange(right, offsetB, length, 'a single position of the axis is used');
      return;
    }
    let stride = 1;
    while (left.length > 0 && right.length > 0) {
      const x = left.pop()!, y = right.pop()!, size = this.atoms.sizeOf(x), block = stride * size;
      const whole = size === this.atoms.sizeOf(y) && [offsetA, offsetB, length].every((value) => value % block === 0);
      if (!whole) {
        const count = length / stride, fromX = (offsetA / stride) % size, fromY = (offsetB / stride) % this.atoms.sizeOf(y);
        if (!Number.isInteger(count) || fromX + count > size || fromY + count > this.atoms.sizeOf(y)) { // the two are not cut alike
          this.freezeRange(this.atoms.of(a), offsetA, length, 'the axis is split in ways that do not fit together');
          this.freezeRange(this.atoms.of(b), offsetB, length, 'the axis is split in ways that do not fit together');
          return;
        }
        for (let i = 0; i < count; i++) this.unite(x, fromX + i, y, fromY + i);
        break;
      }
      for (let i = 0; i < size; i++) this.unite(x, i, y, i);
      stride = block;
      if (stride === length) break;
    }
    for (const atom of [...left, ...right]) this.freezeAtom(atom, 'part of the axis is used by itself');
  }

  private freezeRange(atoms: readonly number[], offset: number, length: number, reason: string): void {
    if (atoms.length === 1) for (let i = 0; i < length; i++) this.freezeAt(atoms[0]!, offset + i, reason);
    else for (const atom of atoms) this.freezeAtom(atom, reason);
  }

  private select(out: AxisId, data: AxisId, index: Int32Array): void {
    const [to, ...moreTo] = this.atoms.of(out), [from, ...moreFrom] = this.atoms.of(data);
    if (to !== undefined && from !== undefined && moreTo.length + moreFrom.length === 0) index.forEach((position, i) => { this.unite(to, i, from, position); });
    else {
      if (from !== undefined && moreFrom.length === 0) for (const position of index) this.freezeAt(from, position, 'a single position of the axis is used');
      else for (const atom of this.atoms.of(data)) this.freezeAtom(atom, 'positions of a split axis are used by themselves');
      for (const atom of this.atoms.of(out)) this.freezeAtom(atom, 'positions of a split axis are used by themselves');
    }
  }

  /** A class that is all of an atom would empty every axis that has it. */
  private freezeWholeAtoms(): void {
    for (const [atom, base] of this.bases) {
      const root = this.sets.find(base), size = this.atoms.sizeOf(atom);
      let one = true;
      for (let i = 1; one && i < size; i++) one = this.sets.find(base + i) === root;
      if (one) this.freezeClass(root, 'its channels all depend on one another');
    }
  }
}
