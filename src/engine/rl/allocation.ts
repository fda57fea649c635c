import type { Counts, SearchSpace } from './searchSpace.ts';

/**
 * An allocation without search: starting from the whole network, give up the units whose removal raises error^exponent least for the
 * cost it saves, until the budget is met. Error curves come from the elimination of channels on calibration data. Rates only rise while
 * a network shrinks (errors grow faster, savings get smaller), so a rate is recomputed only when it is the lowest (lazy greedy).
 * @param budget fraction of the original's cost that must not be exceeded
 * @returns undefined when the budget can't be met
 */
export function allocate(space: SearchSpace, budget: number, exponent: number): Counts | undefined {
  const counts = space.full, { least } = space;
  let now = space.costOf(counts)[space.cost];
  const stepDown = (i: number): number => Math.max(least[i]!, counts[i]! - Math.max(1, Math.round(space.groups[i]!.group.channels / 64)));
  const rateOf = (i: number): number => {
    const next = stepDown(i), { group, error } = space.groups[i]!;
    if (next >= counts[i]!) return Infinity;
    const rise = price(error[group.channels - next]!, exponent) - price(error[group.channels - counts[i]!]!, exponent);
    const saved = now - space.costOf(counts.with(i, next))[space.cost];
    return saved > 0 ? rise / saved : Infinity;
  };
  const rates = space.groups.map((_, i) => rateOf(i));
  while (now > budget) {
    const best = indexOfLeast(rates);
    if (best < 0) return undefined;
    const fresh = rateOf(best);
    if (fresh > rates[best]! * (1 + 1e-9)) { rates[best] = fresh; continue; }
    counts[best] = stepDown(best);
    now = space.costOf(counts)[space.cost];
    rates[best] = rateOf(best);
  }
  return counts;
}

/** Spends what a choice leaves of the budget: gives back the unit that lowers error^exponent most for its cost, while one fits. */
export function fillBudget(space: SearchSpace, counts: Counts, budget: number, exponent: number): number[] {
  const filled = [...counts];
  let now = space.costOf(filled)[space.cost];
  const gainOf = (i: number): { rate: number; cost: number } => {
    const { group, error } = space.groups[i]!;
    if (filled[i]! >= group.channels) return { rate: Infinity, cost: Infinity };
    const cost = space.costOf(filled.with(i, filled[i]! + 1))[space.cost], gone = group.channels - filled[i]!;
    return { rate: cost <= budget ? -(price(error[gone]!, exponent) - price(error[gone - 1]!, exponent)) / Math.max(cost - now, 1e-12) : Infinity, cost };
  };
  const rates = space.groups.map((_, i) => gainOf(i).rate); // negated, so that the least is the best
  for (;;) {
    const best = indexOfLeast(rates);
    if (best < 0) return filled;
    const fresh = gainOf(best);
    if (fresh.rate > rates[best]! * (1 - 1e-9)) { rates[best] = fresh.rate; if (fresh.rate === Infinity || indexOfLeast(rates) !== best) continue; }
    filled[best]!++;
    now = fresh.cost;
    rates[best] = gainOf(best).rate;
  }
}

const price = (error: number, exponent: number): number => Math.max(0, error) ** exponent;

/** Index of the least finite number; -1 when there is none. */
function indexOfLeast(values: readonly number[]): number {
  let at = -1, least = Infinity;
  for (let i = 0; i < values.length; i++) if (values[i]! < least) { least = values[i]!; at = i; }
  return at;
}
