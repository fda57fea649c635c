import type { PruningGroup } from './group.ts';
import type { Layer } from './layer.ts';
import type { Structure } from './structure.ts';

export type { AxisUse, PruningGroup } from './group.ts';
export type { Layer } from './layer.ts';

/** Everything the search, the reconstruction and the reports need to know of a model's structure. */
export interface Analysis {
  readonly groups: readonly PruningGroup[];
  readonly frozen: readonly { readonly name: string; readonly reason: string }[];
  readonly layers: readonly Layer[];
  readonly macs: number;
  readonly params: number;
  /** The relations behind the groups, for surgery and cost counting. */
  readonly structure: Structure;
}

/** Kept units of each pruned group, sorted; groups that are absent keep everything. */
export type KeptUnits = ReadonlyMap<string, readonly number[]>;
