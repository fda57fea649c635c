import type { Judge } from '../evaluation/judge.ts';
import type { CandidateJudge } from '../rl/candidateJudge.ts';
import type { Counts } from '../rl/searchSpace.ts';
import type { Calibration } from './calibrate.ts';
import type { Network } from './network.ts';
import type { Judged } from './search.ts';

/** A choice that was made, and its accuracy on all validation images. */
export interface Made {
  readonly accuracy: number;
  /** The network, repaired; it is made once more where only its accuracy is kept. */
  model(): Promise<Network['proto']>;
}

/** Makes choices, repaired lightly or thoroughly, and judges them on all validation images, none of them twice. */
export type Make = Readonly<Record<'careful' | 'thorough', (counts: Counts) => Promise<Made>>>;

/** Accuracy of a choice that was made, as the journal keeps it: a resumed run goes on with what was found. */
export interface MadeEntry { readonly policy: 'rebuild'; readonly craft: keyof Make; readonly counts: Counts; readonly accuracy: number }
export interface MadeJournal { readonly known: readonly MadeEntry[]; append(entry: MadeEntry): Promise<void> }

/** How choices are made from what calibration prepared. */
export function makeBy(calibration: Pick<Calibration, 'careful' | 'thorough'>, candidates: CandidateJudge, judge: Judge, signal: AbortSignal, journal: MadeJournal = { known: [], append: () => Promise.resolve() }): Make {
  const by = (craft: keyof Make): Make[keyof Make] => {
    const accuracies = new Map(journal.known.filter((entry) => entry.craft === craft).map(({ counts, accuracy }) => [counts.join(), accuracy]));
    return async (counts) => {
      const build = async (): Promise<Network['proto']> => candidates.make(counts, await calibration[craft]()), known = accuracies.get(counts.join());
      if (known !== undefined) return { accuracy: known, model: build };
      const proto = await build(), accuracy = await judge.accuracy(proto, undefined, signal);
      accuracies.set(counts.join(), accuracy);
      await journal.append({ policy: 'rebuild', craft, counts, accuracy });
      return { accuracy, model: () => Promise.resolve(proto) };
    };
  };
  return { careful: by('careful'), thorough: by('thorough') };
}

/** The choice that the user gets, and which policy it comes from. */
export interface Winner extends Made { readonly policy: string; readonly counts: Counts }

/** The best choice of a policy, and its accuracy on all images, all policies repaired alike. */
export type Standing = Pick<Winner, 'counts' | 'accuracy'>;

/** The agent's leaders that are made again, beside every baseline, and how many of all are made thoroughly. */
const leaders = 6, finalists = 2;
/** What a thorough repair takes, in units of the light one. */
export const thoroughCost = 5;
/** Repairs in a rebuild, in units of the light one: leaders, about three baselines, and finalists. */
export const choicesMade = leaders + 3 + thoroughCost * finalists;

interface Contender extends Winner { readonly policies: readonly string[] }

/**
 * Makes the best choices well and judges them on all validation images: first the agent's leaders and every baseline, all repaired alike, so that policies
 * are compared fairly and a baseline that is better is what the user gets; then the best of these once more with all that calibration data can give.
 * A choice that the agent tried too, such as the hand-made ones it begins with, counts for both.
 * @returns the winner, and how each policy did
 */
export async function rebuild(agent: readonly Judged[], baselines: readonly Judged[], make: Make, progress: (fraction: number) => void): Promise<{ winner: Winner; standings: ReadonlyMap<string, Standing> }> {
  const best = [...agent].sort((a, b) => b.candidate.reward - a.candidate.reward || a.candidate.episode - b.candidate.episode);
  const own = new Set(agent.map(({ counts }) => counts.join())), byChoice = new Map<string, { counts: Counts; policies: Set<string> }>();
  for (const { policy, counts } of [...best.filter(({ counts }, i) => best.findIndex((other) => other.counts.join() === counts.join()) === i).slice(0, leaders), ...baselines]) {
    const entry = byChoice.get(counts.join()) ?? { counts, policies: new Set(own.has(counts.join()) ? ['agent'] : []) };
    byChoice.set(counts.join(), { ...entry, policies: entry.policies.add(policy) });
  }
  const steps = byChoice.size + thoroughCost * finalists;
  let done = 0;
  const made = async (craft: keyof Make, counts: Counts, policies: readonly string[]): Promise<Contender> => {
    const result = await make[craft](counts);
    progress((done += craft === 'thorough' ? thoroughCost : 1) / steps);
    return { policy: policies[0]!, policies, counts, ...result };
  };
  const contenders: Contender[] = [];
  for (const { counts, policies } of byChoice.values()) contenders.push(await made('careful', counts, [...policies]));
  const standings = new Map<string, Standing>();
  for (const { policies, counts, accuracy } of contenders) for (const policy of policies) if (accuracy > (standings.get(policy)?.accuracy ?? -1)) standings.set(policy, { counts, accuracy });
  const ranked = contenders.sort((a, b) => b.accuracy - a.accuracy);
  let winner = ranked[0]!;
  for (const { counts, policies } of ranked.slice(0, finalists)) {
    const again = await made('thorough', counts, policies);
    if (again.accuracy > winner.accuracy) winner = again;
  }
  return { winner, standings };
}
