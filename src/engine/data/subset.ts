import { Random } from '../numerics/random.ts';
import type { Dataset } from './dataset.ts';

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

type Labelled = Pick<Dataset, 'count' | 'labels'>;

/** At most `count` samples: with labels every class in its proportion, otherwise evenly spread. @returns sorted indices */
export const fairSubset = ({ count: total, labels }: Labelled, count: number, seed: number): number[] => (labels ? stratifiedSubset(labels, count, seed) : evenSubset(total, count));

/** Share of the samples that judge, how many of them are enough, how many are enough to calibrate, and below how many there is nothing to divide. */
const judgingShare = 0.3, enoughToJudge = 1000, enoughToCalibrate = 5000, leastDivided = 100;

/**
 * Divides a data set between judging and calibration, so that no sample does both: what a repair has seen flatters it (docs/decisions/divided-data.md). Three tenths judge, at most 1,000 of
 * fewer than 6,000 samples, and of more than that all but 5,000.
 * @param most of each
 * @returns sorted indices of both; undefined where there are too few samples to divide
 */
export function dividedData(samples: Labelled, most: number, seed: number): { judging: number[]; calibration: number[] } | undefined {
  const { count, labels } = samples;
  if (count < leastDivided) return undefined;
  const judging = fairSubset(samples, Math.min(most, Math.max(Math.min(Math.round(judgingShare * count), enoughToJudge), count - enoughToCalibrate)), seed);
  const taken = new Set(judging), others = Array.from({ length: count }, (_, i) => i).filter((i) => !taken.has(i));
  const calibration = fairSubset({ count: others.length, ...(labels ? { labels: Int32Array.from(others, (i) => labels[i]!) } : {}) }, most, seed).map((i) => others[i]!);
  return { judging, calibration };
}
