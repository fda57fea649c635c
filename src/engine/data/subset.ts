/** A seeded generator of numbers in [0, 1): mulberry32, the same everywhere. */
export function seededRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** The indices 0 to count - 1 in a seeded random order (Fisher-Yates). */
function shuffledIndices(count: number, random: () => number): number[] {
  const indices = Array.from({ length: count }, (_, i) => i);
  for (let i = count - 1; i > 0; i--) {
    const j = Math.floor(random() * (i + 1));
    [indices[i], indices[j]] = [indices[j]!, indices[i]!];
  }
  return indices;
}

/**
 * A seeded choice of samples that holds every class in proportion to its size (largest remainders), and every class at least once where
 * `count` allows.
 * @returns min(count, labels.length) sorted indices
 */
export function stratifiedSubset(labels: ArrayLike<number>, count: number, seed: number): number[] {
  const total = labels.length;
  if (count >= total) return Array.from({ length: total }, (_, i) => i);
  const random = seededRandom(seed);
  const byClass = new Map<number, number[]>();
  for (const i of shuffledIndices(total, random)) {
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
