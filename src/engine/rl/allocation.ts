import { scaleToBudget } from './policies.ts';
import type { Counts, SearchSpace } from './searchSpace.ts';

/** A change of one group's count, and how good it is: the least rate comes first. */
interface Move { readonly rate: number; readonly count: number; readonly spent: number }
const noMove: Move = { rate: Infinity, count: 0, spent: Infinity };
const best = (moves: readonly Move[]): Move => moves.reduce((a, b) => (b.rate < a.rate ? b : a), noMove);

/**
 * An allocation without search: starting from the whole network, give up the units whose removal raises error^exponent least for the
 * cost it saves, until the budget is met. Error curves come from the elimination of channels on calibration data. Rates only rise while
 * a network shrinks (errors grow faster, savings get smaller), so a rate is recomputed only when it is the lowest (lazy greedy), and all of them
 * where none saves anything: under several limits another one may have become the nearest.
 * @param budget fraction of the original's cost that must not be exceeded
 * @param options from: a choice to begin with; byShare: whether errors count by groups' shares, and groups may go as a whole where the space lets them
 * @returns undefined when the budget can't be met
 */
export function allocate(space: SearchSpace, budget: number, exponent: number, { from = space.full, byShare = false }: { readonly from?: Counts; readonly byShare?: boolean } = {}): Counts | undefined {
  const counts = [...from], { narrowest } = space, least = byShare ? space.least : narrowest;
  let now = space.spent(counts);
  /** A smaller count: a multiple of the group's step, at least a 64th of its width lower. */
  const stepDown = (i: number, strides: number): number => {
    if (strides === 0 || counts[i]! <= narrowest[i]!) return Math.min(counts[i]!, least[i]!);
    const step = space.stepOf(i), leap = Math.max(1, Math.round(space.groups[i]!.group.channels / 64 / step)) * step * strides;
    return Math.max(narrowest[i]!, Math.floor((counts[i]! - 1) / step) * step - (leap - step));
  };
  const moveOf = (i: number): Move => best([...space.strides, ...(least[i] === 0 ? [0] : [])].map((strides) => {
    const count = stepDown(i, strides), { group, error, share = 1 } = space.groups[i]!, weight = byShare ? share : 1;
    if (count >= counts[i]!) return noMove;
    const rise = price(weight * error[group.channels - count]!, exponent) - price(weight * error[group.channels - counts[i]!]!, exponent);
    const spent = space.spent(counts.with(i, count)), saved = now - spent;
    return saved > 0 ? { rate: rise / saved, count, spent } : noMove;
  }));
  let moves = space.groups.map((_, i) => moveOf(i));
  while (now > budget) {
    let at = indexOfLeast(moves);
    if (at < 0) at = indexOfLeast(moves = space.groups.map((_, i) => moveOf(i)));
    if (at < 0) return undefined;
    const fresh = moveOf(at);
    if (fresh.rate > moves[at]!.rate * (1 + 1e-9)) { moves[at] = fresh; continue; }
    counts[at] = fresh.count;
    now = fresh.spent;
    moves[at] = moveOf(at);
  }
  return counts;
}

/** Spends what a choice leaves of the budget: gives back the unit that lowers error^exponent most for its cost, while one fits. @param options byShare: as in allocate */
export function fillBudget(space: SearchSpace, counts: Counts, budget: number, exponent: number, { byShare = false }: { readonly byShare?: boolean } = {}): number[] {
  const filled = [...counts];
  let now = space.spent(filled);
  const stepUp = (i: number, strides: number): number => Math.min(space.groups[i]!.group.channels, (Math.floor(filled[i]! / space.stepOf(i)) + strides) * space.stepOf(i));
  const moveOf = (i: number): Move => {
    const { group, error, share = 1 } = space.groups[i]!, weight = byShare ? share : 1;
    if (filled[i]! >= group.channels) return noMove;
    return best((filled[i] === 0 ? [group.channels] : space.strides.map((strides) => stepUp(i, strides))).map((count) => {
      const spent = space.spent(filled.with(i, count));
      const gain = price(weight * error[group.channels - filled[i]!]!, exponent) - price(weight * error[group.channels - count]!, exponent);
      return { rate: spent <= budget ? -gain / Math.max(spent - now, 1e-12) : Infinity, count, spent }; // negated, so that the least is the best
    }));
  };
  const moves = space.groups.map((_, i) => moveOf(i));
  for (;;) {
    const at = indexOfLeast(moves);
    if (at < 0) return filled;
    const fresh = moveOf(at);
    if (fresh.rate > moves[at]!.rate * (1 - 1e-9)) { moves[at] = fresh; if (fresh.rate === Infinity || indexOfLeast(moves) !== at) continue; }
    filled[at] = fresh.count;
    now = fresh.spent;
    moves[at] = moveOf(at);
  }
}

/** Whether it is known what groups' errors weigh. */
export const hasShares = ({ groups }: SearchSpace): boolean => groups.some(({ share }) => share !== undefined);

/**
 * The choice that a policy's ratios stand for at a budget: scaled to it, what is left of it given back. Where groups may go as a whole, which is for the sake of time, that falls in
 * blocks of channels and may not fall at all while ratios are scaled: there the units go that cost least error for the time they save.
 */
export function withinBudget(space: SearchSpace, shape: readonly number[], budget: number): Counts | undefined {
  const byShare = hasShares(space), counts = space.least.includes(0) ? allocate(space, budget, 1, { from: shape.map((ratio, i) => space.countFor(i, ratio)), byShare }) : scaleToBudget(space, shape, budget);
  return counts && fillBudget(space, counts, budget, 1, { byShare });
}

const price = (error: number, exponent: number): number => Math.max(0, error) ** exponent;

/** Index of the move with the least finite rate; -1 when there is none. */
function indexOfLeast(moves: readonly Move[]): number {
  let at = -1, least = Infinity;
  for (let i = 0; i < moves.length; i++) if (moves[i]!.rate < least) { least = moves[i]!.rate; at = i; }
  return at;
}
