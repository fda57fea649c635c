import { describe, expect, it } from 'vitest';
import { kinds as detectors } from './detectionKinds.ts';
import { kinds as images } from './imageKinds.ts';
import { prunedKind } from './kind.ts';
import { kinds as languages } from './languageKinds.ts';
import { kinds as others } from './otherKinds.ts';
import { kinds as sequences } from './sequenceKinds.ts';

describe.each(Object.entries({ images, detectors, sequences, languages, others }))('pruning of %s', (_, kinds) => {
  it.each(Object.entries(kinds))('is exact and frees what can be freed: %s', async (__, kind) => {
    const { macs, frozen } = await prunedKind(kind);
    expect(macs).toBeLessThanOrEqual(kind.macs);
    expect(frozen).toEqual([...kind.frozen ?? []].sort());
  }, 60_000);
});
