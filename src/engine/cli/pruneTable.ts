import type { PruneResult } from '../pruning/prune.ts';
import { amount, bytes, columns, percent } from './format.ts';

const left = (after: number, before: number): string => (before === 0 ? '-' : percent(after / before));

/** What `prune` did, for a terminal. */
export const pruneTable = ({ before, after, out, preprocessing }: PruneResult): string[] => [
  ...columns([
    ['', 'before', 'after', 'left'],
    ['MACs', amount(before.macs), amount(after.macs), left(after.macs, before.macs)],
    ['parameters', amount(before.params), amount(after.params), left(after.params, before.params)],
    ['file size', bytes(before.sizeBytes), bytes(after.sizeBytes), left(after.sizeBytes, before.sizeBytes)],
    ...(before.sparse && after.sparse ? [
      ['weights that are not zero', amount(before.sparse.nonZero), amount(after.sparse.nonZero), left(after.sparse.nonZero, before.sparse.nonZero)],
      ['stored as bitmap and values', bytes(before.sparse.storedBytes), bytes(after.sparse.storedBytes), left(after.sparse.storedBytes, before.sparse.storedBytes)],
    ] : []),
  ]),
  ...(preprocessing === undefined ? [] : [`Preprocessing of the calibration data: ${preprocessing}`]),
  `Written to ${out}`,
];
