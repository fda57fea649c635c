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
  let now = space.spent(counts);
  /** The next smaller count: a multiple of the group's step, at least a 64th of its width lower. */
  const stepDown = (i: number): number => {
    const step = space.stepOf(i), leap = Math.max(1, Math.round(space.groups[i]!.group.channels / 64 / step)) * step;
    return Math.max(least[i]!, Math.floor((counts[i]! - 1) / step) * step - (leap - step));
  };
  const rateOf = (i: number): number => {
    const next = stepDown(i), { group, error } = space.groups[i]!;
    if (next >= counts[i]!) return Infinity;
    const rise = price(error[group.channels - next]!, exponent) - price(error[group.channels - counts[i]!]!, exponent);
    const saved = now - space.spent(counts.with(i, next));
    return saved > 0 ? rise / saved : Infinity;
  };
  const rates = space.groups.map((_, i) => rateOf(i));
  while (now > budget) {
    const best = indexOfLeast(rates);
    if (best < 0) return undefined;
    const fresh = rateOf(best);
    if (fresh > rates[best]! * (1 + 1e-9)) { rates[best] = fresh; continue; }
    counts[best] = stepDown(best);
    now = space.spent(counts);
    rates[best] = rateOf(best);
  }
  return counts;
}

/** Spends what a choice leaves of the budget: gives back the unit that lowers error^exponent most for its cost, while one fits. */
export function fillBudget(space: SearchSpace, counts: Counts, budget: number, exponent: number): number[] {
  const filled = [...counts];
  let now = space.spent(filled);
  const stepUp = (i: number): number => Math.min(space.groups[i]!.group.channels, (Math.floor(filled[i]! / space.stepOf(i)) + 1) * space.stepOf(i));
  const gainOf = (i: number): { rate: number; cost: number } => {
    const { group, error } = space.groups[i]!;
    if (filled[i]! >= group.channels) return { rate: Infinity, cost: Infinity };
    const next = stepUp(i), cost = space.spent(filled.with(i, next));
    const gain = price(error[group.channels - filled[i]!]!, exponent) - price(error[group.channels - next]!, exponent);
    return { rate: cost <= budget ? -gain / Math.max(cost - now, 1e-12) : Infinity, cost };
  };
  const rates = space.groups.map((_, i) => gainOf(i).rate); // negated, so that the least is the best
  for (;;) {
    const best = indexOfLeast(rates);
    if (best < 0) return filled;
    const fresh = gainOf(best);
    if (fresh.rate > rates[best]! * (1 - 1e-9)) { rates[best] = fresh.rate; if (fresh.rate === Infinity || indexOfLeast(rates) !== best) continue; }
    filled[best] = stepUp(best);
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
