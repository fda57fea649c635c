import type { AxisId } from './axes.ts';
import type { Structure } from './structure.ts';
import type { Analysis, KeptUnits } from './types.ts';

/** The positions that one set of kept units leaves of every axis. */
export class KeptPositions {
  private readonly structure: Structure;
  /** For each group, whether each unit is kept; undefined where all are. */
  private readonly flags: (Uint8Array | undefined)[];
  private readonly byAtom = new Map<number, Int32Array | undefined>();
  private readonly byClass = new Map<AxisId, Int32Array | undefined>();

  /** @throws {RangeError} for an unknown group, an index outside it, or an empty selection of a group that can't go as a whole */
  constructor(analysis: Analysis, kept: KeptUnits) {
    this.structure = analysis.structure;
    const known = new Map(analysis.groups.map(({ id }, i) => [id, i]));
    this.flags = analysis.groups.map(() => undefined);
    for (const [id, units] of kept) {
      const index = known.get(id);
      if (index === undefined) throw new RangeError(`there is no pruning group "${id}"`);
      const { channels, removable } = analysis.groups[index]!;
      const flags = new Uint8Array(channels);
      for (const unit of units) {
        if (!(unit >= 0 && unit < channels)) throw new RangeError(`pruning group "${id}" has no unit ${unit}`);
        flags[unit] = 1;
      }
      if (units.length === 0 && !removable) throw new RangeError(`pruning group "${id}" would be empty`);
      if (flags.includes(0)) this.flags[index] = flags;
    }
  }

  /** Kept positions of an atom, ascending; undefined where all are kept. */
  private ofAtom(atom: number): Int32Array | undefined {
    if (this.byAtom.has(atom)) return this.byAtom.get(atom);
    const units = this.structure.atomUnits.get(atom);
    let result: Int32Array | undefined;
    if (units) {
      const { groupOf, unitOf } = units, kept: number[] = [];
      for (let i = 0; i < groupOf.length; i++) {
        const flags = groupOf[i]! < 0 ? undefined : this.flags[groupOf[i]!];
        if (!flags || flags[unitOf[i]!]) kept.push(i);
      }
      if (kept.length < groupOf.length) result = Int32Array.from(kept);
    }
    this.byAtom.set(atom, result);
    return result;
  }

  /** Kept positions of an axis, ascending; undefined where all are kept. */
  of(axis: AxisId): Int32Array | undefined {
    const { facts: { axes }, atoms } = this.structure, root = axes.classOf(axis);
    if (this.byClass.has(root)) return this.byClass.get(root);
    const factors = atoms.of(root), kept = factors.map((atom) => this.ofAtom(atom));
    let result: Int32Array | undefined;
    if (kept.some((positions) => positions !== undefined)) {
      result = Int32Array.of(0);
      factors.forEach((atom, level) => {
        const size = atoms.sizeOf(atom), own = kept[level] ?? Int32Array.from({ length: size }, (_, i) => i);
        const next = new Int32Array(result!.length * own.length);
        result!.forEach((outer, i) => { own.forEach((inner, j) => { next[i * own.length + j] = outer * size + inner; }); });
        result = next;
      });
    }
    this.byClass.set(root, result);
    return result;
  }

  sizeOf(axis: AxisId): number { return this.of(axis)?.length ?? this.structure.facts.axes.sizeOf(axis); }
}

/**
 * Positions of an axis in the order in which choices that differ only in how much of each group they keep give them up, those that stay longest first.
 * @param orders units of each group, the first to go first @returns undefined where the axis depends on several groups, so that there is no one order
 */
export function orderOfLeaving({ groups, structure: { facts: { axes }, atoms, atomUnits } }: Analysis, axis: AxisId, orders: ReadonlyMap<string, readonly number[]>): Int32Array | undefined {
  const factors = atoms.of(axes.classOf(axis)), involved = new Set(factors.flatMap((atom) => [...new Set(atomUnits.get(atom)?.groupOf ?? [])])), ranks = new Map<number, Int32Array>();
  for (const index of involved) {
    const order = index < 0 ? undefined : orders.get(groups[index]!.id);
    if (!order) continue;
    const rank = new Int32Array(order.length);
    order.forEach((unit, i) => { rank[unit] = i; });
    ranks.set(index, rank);
  }
  if (ranks.size > 1) return undefined;
  let leaves = Float64Array.of(Infinity);
  for (const atom of factors) {
    const units = atomUnits.get(atom), own = Float64Array.from({ length: atoms.sizeOf(atom) }, (_, i) => ranks.get(units?.groupOf[i] ?? -1)?.[units!.unitOf[i]!] ?? Infinity);
    leaves = Float64Array.from({ length: leaves.length * own.length }, (_, i) => Math.min(leaves[Math.floor(i / own.length)]!, own[i % own.length]!));
  }
  return Int32Array.from(leaves, (_, position) => position).sort((a, b) => (leaves[a] === leaves[b] ? a - b : leaves[b]! - leaves[a]!));
}
