/** What becomes of an integer that a node states: value * times / over + plus. */
export interface Adjustment { readonly times: number; readonly over: number; readonly plus: number }
export const unchanged: Adjustment = { times: 1, over: 1, plus: 0 };
/** A number of its own. */
export const replacedBy = (value: number): Adjustment => ({ times: 0, over: 1, plus: value });
/** In proportion: right at every length of an axis that repeats its channels. */
export const scaled = (after: number, before: number): Adjustment => ({ times: after, over: before, plus: 0 });
export const isUnchanged = ({ times, over, plus }: Adjustment): boolean => times === over && plus === 0;
export const adjusted = (values: readonly number[], changes: readonly Adjustment[]): number[] => values.map((value, i) => { const change = changes[i]!; return isUnchanged(change) ? value : (value * change.times) / change.over + change.plus; });
