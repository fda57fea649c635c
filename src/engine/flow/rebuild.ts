import type { CandidateJudge, Craft } from '../rl/candidateJudge.ts';
import type { Judge } from '../evaluation/judge.ts';
import type { Counts } from '../rl/searchSpace.ts';
import type { Network } from './network.ts';
import type { Judged } from './search.ts';

/** The model that the user gets, and which policy it comes from. */
export interface Winner { readonly policy: string; readonly counts: Counts; readonly accuracy: number; readonly proto: Network['proto'] }

/** How many of the agent's leaders are made thoroughly and judged on all images, beside every baseline. */
const leaders = 4;

/**
 * Makes the best choices thoroughly, judges them on all validation images and keeps the best: the agent's leaders, and every baseline, so
 * that a baseline that is better is what the user gets.
 * @returns the winner, and each policy's best accuracy on all images
 */
export async function rebuild(agent: readonly Judged[], baselines: readonly Judged[], judge: CandidateJudge, judgeAll: Judge, craft: Craft, progress: (fraction: number) => void): Promise<{ winner: Winner; accuracies: ReadonlyMap<string, number> }> {
  const best = [...agent].sort((a, b) => b.candidate.reward - a.candidate.reward || a.candidate.episode - b.candidate.episode);
  const chosen = [...new Map([...best.slice(0, leaders), ...baselines].map((each) => [`${each.policy} ${each.counts.join()}`, each])).values()];
  const accuracies = new Map<string, number>(), made = new Map<string, { accuracy: number; proto: Network['proto'] }>();
  let winner: Winner | undefined;
  for (const [i, { policy, counts }] of chosen.entries()) {
    let result = made.get(counts.join());
    if (!result) {
      const proto = await judge.make(counts, craft);
      result = { accuracy: await judgeAll.accuracy(proto, undefined, craft.options.signal), proto };
      made.clear(); // one model in memory besides the winner
      made.set(counts.join(), result);
    }
    accuracies.set(policy, Math.max(accuracies.get(policy) ?? 0, result.accuracy));
    if (!winner || result.accuracy > winner.accuracy) winner = { policy, counts, ...result };
    progress((i + 1) / chosen.length);
  }
  return { winner: winner!, accuracies };
}
