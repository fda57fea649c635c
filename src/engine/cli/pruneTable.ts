import type { PruneResult } from '../pruning/prune.ts';
import { costRows } from './costRows.ts';
import { columns, percent } from './format.ts';

/** What `prune` did, for a terminal. */
export const pruneTable = ({ before, after, out, preprocessing }: PruneResult): string[] => [
  ...columns([['', 'before', 'after', 'left'], ...costRows(before, after, (value) => percent(value))]),
  ...(preprocessing === undefined ? [] : [`Preprocessing of the calibration data: ${preprocessing}`]),
  `Written to ${out}`,
];
