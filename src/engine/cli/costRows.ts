import type { Measurements } from '../protocol.ts';
import { amount, bytes } from './format.ts';

/** What a network takes, in a file. */
type Costs = Pick<Measurements, 'macs' | 'params' | 'sizeBytes'> & { readonly sparse?: Pick<NonNullable<Measurements['sparse']>, 'nonZero' | 'storedBytes'> };

/** Rows of a table: what a network takes before and after, and `ratio` of the two; '-' where there was nothing before. @param macsName of the first row */
export function costRows(before: Costs, after: Costs, ratio: (value: number) => string, macsName = 'MACs'): string[][] {
  const row = (name: string, was: number, is: number, shown: (value: number) => string): string[] => [name, shown(was), shown(is), ratioOf(is, was, ratio)];
  return [
    row(macsName, before.macs, after.macs, amount), row('parameters', before.params, after.params, amount), row('file size', before.sizeBytes, after.sizeBytes, bytes),
    ...(before.sparse && after.sparse ? [row('weights that are not zero', before.sparse.nonZero, after.sparse.nonZero, amount), row('stored as bitmap and values', before.sparse.storedBytes, after.sparse.storedBytes, bytes)] : []),
  ];
}

/** One number as a part of another, in words. */
export const ratioOf = (part: number, whole: number, ratio: (value: number) => string): string => (whole === 0 ? '-' : ratio(part / whole));
