import type { PruneResult } from '../pruning/prune.ts';
import { amount, bytes, columns, percent } from './format.ts';

/** What `prune` did, for a terminal. */
export const pruneTable = ({ before, after, out }: PruneResult): string[] => [
  ...columns([
    ['', 'before', 'after', 'left'],
    ['MACs', amount(before.macs), amount(after.macs), percent(after.macs / before.macs)],
    ['parameters', amount(before.params), amount(after.params), percent(after.params / before.params)],
    ['file size', bytes(before.sizeBytes), bytes(after.sizeBytes), percent(after.sizeBytes / before.sizeBytes)],
  ]),
  `Written to ${out}`,
];
