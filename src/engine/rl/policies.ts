import type { Counts, SearchSpace } from './searchSpace.ts';

/**
 * The hand-made policies of the paper's Table 1 (He et al., arXiv 1802.03494): preserve ratios by depth, scaled so that the budget is just met.
 * uniform: one ratio; shallow: the early layers are compressed most; deep: the late ones.
 */
export const handMadePolicies = {
  uniform: () => 1,
  shallow: (depth: number) => 0.4 + 0.6 * depth,
  deep: (depth: number) => 1 - 0.6 * depth,
} as const satisfies Record<string, (depth: number) => number>;
export type HandMadePolicy = keyof typeof handMadePolicies;

/**
 * The widest choice of counts with preserve ratios min(1, scale * shape[i]) that keeps to the budget. Counts move in steps, and many groups may step at
 * the same scale; those furthest below their share step first, until the next would exceed the budget.
 * @param shape relative preserve ratio of each group, which keeps its narrowest width at least @returns undefined when even the narrowest widths exceed the budget
 */
export function scaleToBudget(space: SearchSpace, shape: readonly number[], budget: number): Counts | undefined {
  const at = (scale: number): number[] => shape.map((ratio, i) => space.countFor(i, Math.min(1, Math.max(1e-9, scale * ratio))));
  const fits = (counts: Counts): boolean => space.spent(counts) <= budget;
  if (!fits(at(0))) return undefined;
  let low = 0, high = 1 / Math.max(1e-6, Math.min(...shape));
  if (fits(at(high))) return at(high);
  for (let step = 0; step < 40; step++) {
    const middle = (low + high) / 2;
    if (fits(at(middle))) low = middle; else high = middle;
  }
  const counts = at(low), next = at(high);
  const shortfall = (i: number): number => Math.min(1, high * shape[i]!) - counts[i]! / space.groups[i]!.group.channels;
  for (const i of [...counts.keys()].sort((a, b) => shortfall(b) - shortfall(a))) {
    const raised = counts.with(i, Math.max(counts[i]!, next[i]!));
    if (fits(raised)) counts[i] = raised[i]!;
  }
  return counts;
}

/** A hand-made policy's choice for a budget. */
export function handMade(space: SearchSpace, policy: HandMadePolicy, budget: number): Counts | undefined {
  const last = Math.max(1, space.groups.length - 1);
  return scaleToBudget(space, space.groups.map((_, i) => handMadePolicies[policy](i / last)), budget);
}
