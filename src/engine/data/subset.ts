import { Random } from '../numerics/random.ts';

/**
 * A seeded choice of samples that holds every class in proportion to its size (largest remainders), and every class at least once where
 * `count` allows.
 * @returns min(count, labels.length) sorted indices
 */
export function stratifiedSubset(labels: ArrayLike<number>, count: number, seed: number): number[] {
  const total = labels.length;
  if (count >= total) return Array.from({ length: total }, (_, i) => i);
  const byClass = new Map<number, number[]>();
  for (const i of new Random(seed).shuffle(Array.from({ length: total }, (_, i) => i))) {
    const label = labels[i]!;
    const members = byClass.get(label);
    if (members) members.push(i); else byClass.set(label, [i]);
  }
  const classes = [...byClass.entries()].sort(([a], [b]) => a - b).map(([, members]) => ({ members, share: (members.length * count) / total, taken: 0 }));
  for (const entry of classes) entry.taken = Math.min(entry.members.length, Math.floor(entry.share) || (classes.length <= count ? 1 : 0));
  const taken = (): number => classes.reduce((sum, entry) => sum + entry.taken, 0);
  const byNeed = [...classes].sort((a, b) => (b.share - Math.floor(b.share)) - (a.share - Math.floor(a.share)));
  for (let left = count - taken(), i = 0; left > 0; i++) {
    const entry = byNeed[i % byNeed.length]!;
    if (entry.taken < entry.members.length) { entry.taken++; left--; }
  }
  for (let over = taken() - count; over > 0; over--) classes.reduce((most, entry) => (entry.taken > most.taken ? entry : most)).taken--;
  return classes.flatMap(({ members, taken: wanted }) => members.slice(0, wanted)).sort((a, b) => a - b);
}

/** `count` indices spread evenly over 0 to total - 1, sorted. */
export const evenSubset = (total: number, count: number): number[] => Array.from({ length: Math.min(total, count) }, (_, i) => Math.floor((i * total) / Math.min(total, count)));
