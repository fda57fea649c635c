import type { Atoms } from './atoms.ts';
import type { Branches } from './branches.ts';
import type { FoldedWeights } from './foldWeights.ts';
import type { GraphFacts } from './nodeAxes.ts';

/** For each position of an atom, the group and the unit that it belongs to; -1 where it always stays. */
export interface AtomUnits { readonly groupOf: Int32Array; readonly unitOf: Int32Array }

/** What surgery and cost counting need beside the groups: the relations themselves. */
export interface Structure {
  readonly facts: GraphFacts;
  readonly folded: FoldedWeights | undefined;
  readonly atoms: Atoms;
  /** Only atoms with positions that can be dropped. */
  readonly atomUnits: ReadonlyMap<number, AtomUnits>;
  /** Groups that can go as a whole. */
  readonly branches: Branches;
  /** Parameters that never change: weights inside subgraphs. */
  readonly fixedParams: number;
}
