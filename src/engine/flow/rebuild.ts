import type { CandidateJudge, Craft } from '../rl/candidateJudge.ts';
import type { Judge } from '../evaluation/judge.ts';
import type { Counts } from '../rl/searchSpace.ts';
import type { Network } from './network.ts';
import type { Judged } from './search.ts';

/** The model that the user gets, and which policy it comes from. */
export interface Winner { readonly policy: string; readonly counts: Counts; readonly accuracy: number; readonly proto: Network['proto'] }

/** How many of the agent's leaders are made thoroughly and judged on all images, beside every baseline. */
const leaders = 3;

/**
 * Makes the best choices thoroughly, judges them on all validation images and keeps the best: the agent's leaders, and every baseline, so
 * that a baseline that is better is what the user gets. A choice that the agent tried too, such as the hand-made ones it begins with, counts for both.
 * @returns the winner, and each policy's best accuracy on all images
 */
export async function rebuild(agent: readonly Judged[], baselines: readonly Judged[], judge: CandidateJudge, judgeAll: Judge, craft: Craft, signal: AbortSignal, progress: (fraction: number) => void): Promise<{ winner: Winner; accuracies: ReadonlyMap<string, number> }> {
  const best = [...agent].sort((a, b) => b.candidate.reward - a.candidate.reward || a.candidate.episode - b.candidate.episode);
  const own = new Set(agent.map(({ counts }) => counts.join())), byChoice = new Map<string, { counts: Counts; policies: Set<string> }>();
  for (const { policy, counts } of [...best.slice(0, leaders), ...baselines]) {
    const entry = byChoice.get(counts.join()) ?? { counts, policies: new Set(own.has(counts.join()) ? ['agent'] : []) };
    byChoice.set(counts.join(), { ...entry, policies: entry.policies.add(policy) });
  }
  const accuracies = new Map<string, number>();
  let winner: Winner | undefined, done = 0;
  for (const { counts, policies } of byChoice.values()) {
    const proto = await judge.make(counts, craft), accuracy = await judgeAll.accuracy(proto, undefined, signal);
    for (const policy of policies) accuracies.set(policy, Math.max(accuracies.get(policy) ?? 0, accuracy));
    if (!winner || accuracy > winner.accuracy) winner = { policy: [...policies][0]!, counts, accuracy, proto };
    progress(++done / byChoice.size);
  }
  return { winner: winner!, accuracies };
}
