import type { Analysis, KeptUnits } from './types.ts';

/** Which indices of a constant tensor's axis stay under a choice of kept units; undefined where all of them do. */
export interface KeptIndices { get(initializer: string, axis: number): number[] | undefined }

/** Index of what a choice of kept units leaves of every constant tensor. An axis that belongs to several groups keeps what all of them keep. */
export function keptIndices(analysis: Analysis, kept: KeptUnits): KeptIndices {
  const masks = new Map<string, Uint8Array>();
  for (const group of analysis.groups) {
    const units = kept.get(group.id);
    if (!units || units.length === group.channels) continue;
    const stays = new Uint8Array(group.channels);
    for (const unit of units) stays[unit] = 1;
    for (const { initializer, axis, unitOf } of [...group.producers, ...group.consumers]) {
      const key = `${axis} ${initializer}`;
      const mask = masks.get(key) ?? new Uint8Array(unitOf.length).fill(1);
      for (let i = 0; i < unitOf.length; i++) if (unitOf[i]! >= 0 && stays[unitOf[i]!] === 0) mask[i] = 0;
      masks.set(key, mask);
    }
  }
  return {
    get(initializer, axis) {
      const mask = masks.get(`${axis} ${initializer}`);
      return mask && Array.from(mask.keys()).filter((i) => mask[i] === 1);
    },
  };
}
