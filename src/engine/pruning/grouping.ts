import type { GraphView } from '../onnx/graphView.ts';
import type { Atoms } from './atoms.ts';
import type { Axes, AxisId } from './axes.ts';
import type { Positions } from './positions.ts';
import type { AxisUse, PruningGroup } from './group.ts';
import type { Layer } from './layer.ts';
import type { AtomUnits } from './structure.ts';

export interface Grouping {
  readonly groups: Omit<PruningGroup, 'removable'>[];
  readonly atomUnits: ReadonlyMap<number, AtomUnits>;
}

/**
 * Makes groups out of classes of positions: classes that the same weights produce, with the same multiplicity, are the units of one group.
 * @param generators axes of constants that output channels are made along
 * @param consumers axes of constants that are zeroed to drop a position
 * @param pureConsumers those of them that don't produce
 */
export function makeGroups(view: GraphView, axes: Axes, atoms: Atoms, positions: Positions, roles: {
  generators: readonly AxisId[]; consumers: ReadonlySet<AxisId>; pureConsumers: ReadonlySet<AxisId>; layers: readonly Pick<Layer, 'name' | 'weight'>[];
}): Grouping {
  const constantAxes = axesOfConstants(view, axes);
  for (let members = classesByProducers(atoms, positions, roles.generators); ;) {
    const groupOfClass = new Map<number, { group: number; unit: number }>();
    members.forEach((classes, group) => { classes.forEach((cls, unit) => { groupOfClass.set(cls, { group, unit }); }); });
    const atomUnits = unitsOfAtoms(atoms, positions, groupOfClass);
    const twice = groupsTwiceOnAnAxis(constantAxes, atoms, atomUnits);
    const anchors = classesToKeep(atoms, positions, atomUnits, members);
    if (twice.size === 0 && anchors.length === 0) return { groups: describe(view, axes, atoms, atomUnits, members, constantAxes, roles), atomUnits };
    for (const group of twice) for (const cls of members[group]!) positions.freezeClass(cls, 'both factors of a split axis depend on the same channels');
    for (const cls of anchors) positions.freezeClass(cls, 'kept so that no part of an axis is ever empty');
    members = members.map((classes, group) => (twice.has(group) ? [] : classes.filter((cls) => !anchors.includes(cls)))).filter((classes) => classes.length > 0);
  }
}

function axesOfConstants(view: GraphView, axes: Axes): AxisId[] {
  return [...view.constants.keys()].flatMap((name) => (axes.shapeOf(name) ? axes.axesOf(name).filter((axis) => axes.sizeOf(axis) > 1) : []));
}

/** Classes of positions that have a producing weight, listed by which weights make them; in order of appearance. */
function classesByProducers(atoms: Atoms, positions: Positions, generators: readonly AxisId[]): number[][] {
  const counts = new Map<number, Map<string, number>>();
  for (const axis of generators) {
    atoms.of(axis).forEach((atom, level) => {
      for (let i = 0; i < atoms.sizeOf(atom); i++) {
        const cls = positions.classOf(atom, i);
        if (cls < 0) continue;
        const own = counts.get(cls) ?? new Map<string, number>();
        const key = `${axis}.${level}`;
        own.set(key, (own.get(key) ?? 0) + 1);
        counts.set(cls, own);
      }
    });
  }
  const bySignature = new Map<string, number[]>();
  for (const [cls, own] of counts) {
    const signature = [...own].map(([key, count]) => `${key}:${count}`).join(' ');
    const list = bySignature.get(signature);
    if (list) list.push(cls); else bySignature.set(signature, [cls]);
  }
  return [...bySignature.values()];
}

function unitsOfAtoms(atoms: Atoms, positions: Positions, groupOfClass: ReadonlyMap<number, { group: number; unit: number }>): Map<number, AtomUnits> {
  const result = new Map<number, AtomUnits>();
  for (const atom of positions.prunableAtoms) {
    const size = atoms.sizeOf(atom), groupOf = new Int32Array(size).fill(-1), unitOf = new Int32Array(size).fill(-1);
    let any = false;
    for (let i = 0; i < size; i++) {
      const member = groupOfClass.get(positions.classOf(atom, i));
      if (!member) continue;
      groupOf[i] = member.group;
      unitOf[i] = member.unit;
      any = true;
    }
    if (any) result.set(atom, { groupOf, unitOf });
  }
  return result;
}

/** Groups that appear in two factors of one constant's axis: a position there would depend on two units of the group. */
function groupsTwiceOnAnAxis(constantAxes: readonly AxisId[], atoms: Atoms, atomUnits: ReadonlyMap<number, AtomUnits>): Set<number> {
  const result = new Set<number>();
  for (const axis of constantAxes) {
    const factors = atoms.of(axis).map((atom) => atomUnits.get(atom)).filter((units) => units !== undefined);
    if (factors.length < 2) continue;
    const seen = new Set<number>();
    for (const { groupOf } of factors) {
      const here = new Set(groupOf);
      for (const group of here) if (group >= 0 && seen.has(group)) result.add(group);
      for (const group of here) seen.add(group);
    }
  }
  return result;
}

/** One class for every atom that could be emptied although each group keeps a unit: parts of an axis that a Split, Slice or Concat makes. */
function classesToKeep(atoms: Atoms, positions: Positions, atomUnits: ReadonlyMap<number, AtomUnits>, members: readonly (readonly number[])[]): number[] {
  const kept = new Set<number>();
  for (const [atom, { groupOf, unitOf }] of [...atomUnits].sort((a, b) => atoms.sizeOf(a[0]) - atoms.sizeOf(b[0]))) {
    if (groupOf.includes(-1)) continue;
    const units = new Map<number, Set<number>>();
    groupOf.forEach((group, i) => { const own = units.get(group) ?? new Set(); own.add(unitOf[i]!); units.set(group, own); });
    if ([...units].some(([group, own]) => own.size === members[group]!.length)) continue;
    if (groupOf.some((group, i) => kept.has(members[group]![unitOf[i]!]!))) continue;
    kept.add(positions.classOf(atom, 0));
  }
  return [...kept];
}

function describe(view: GraphView, axes: Axes, atoms: Atoms, atomUnits: ReadonlyMap<number, AtomUnits>, members: readonly (readonly number[])[], constantAxes: readonly AxisId[], roles: {
  generators: readonly AxisId[]; consumers: ReadonlySet<AxisId>; pureConsumers: ReadonlySet<AxisId>; layers: readonly Pick<Layer, 'name' | 'weight'>[];
}): Grouping['groups'] {
  const producers = members.map((): AxisUse[] => []), consumers = members.map((): AxisUse[] => []);
  const generators = new Set(roles.generators);
  const mains = members.map((): string[] => []);
  for (const axis of new Set([...constantAxes, ...roles.consumers])) {
    const factors = atoms.of(axis);
    if (!factors.some((atom) => atomUnits.has(atom))) continue;
    const { value, axis: k } = axes.ownerOf(axis);
    for (const [group, unitOf] of unitsAlong(factors, atoms, atomUnits)) {
      const use: AxisUse = { initializer: value, axis: k, unitOf };
      if (!roles.pureConsumers.has(axis) && view.constants.has(value)) producers[group]!.push(use);
      if (roles.consumers.has(axis)) consumers[group]!.push(use);
      if (generators.has(axis)) mains[group]!.push(value);
    }
  }
  const layerOf = new Map(roles.layers.map(({ name, weight }) => [weight, name]));
  const order = new Map([...view.constants.keys()].map((name, i) => [name, i]));
  const used = new Map<string, number>();
  return members.map((classes, group) => {
    const main = mains[group]!.sort((a, b) => order.get(a)! - order.get(b)!)[0] ?? producers[group]![0]!.initializer;
    const count = used.get(main) ?? 0;
    used.set(main, count + 1);
    const { unitOf } = [...producers[group]!, ...consumers[group]!].find(({ initializer }) => initializer === main)!;
    const width = unitOf.reduce((sum, unit) => sum + Number(unit === 0), 0);
    return { id: count > 0 ? `${main}#${count + 1}` : main, name: `${layerOf.get(main) ?? main}${width > 1 ? ` (${width} channels a unit)` : ''}`, channels: classes.length, producers: producers[group]!, consumers: consumers[group]! };
  });
}

/** For each group on an axis made of factors, the unit of every position. */
function unitsAlong(factors: readonly number[], atoms: Atoms, atomUnits: ReadonlyMap<number, AtomUnits>): Map<number, Int32Array> {
  const sizes = factors.map((atom) => atoms.sizeOf(atom)), total = sizes.reduce((a, b) => a * b, 1);
  const result = new Map<number, Int32Array>();
  let stride = total;
  factors.forEach((atom, level) => {
    stride /= sizes[level]!;
    const units = atomUnits.get(atom);
    if (!units) return;
    for (const group of new Set(units.groupOf)) if (group >= 0) result.set(group, new Int32Array(total).fill(-1));
    for (let i = 0; i < total; i++) {
      const digit = Math.floor(i / stride) % sizes[level]!, group = units.groupOf[digit]!;
      if (group >= 0) result.get(group)![i] = units.unitOf[digit]!;
    }
  });
  return result;
}
