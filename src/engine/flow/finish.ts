import type { CandidateJudge } from '../rl/candidateJudge.ts';
import type { Calibration } from './calibrate.ts';
import { rebuildGuaranteed } from './guarantee.ts';
import { type Winner, rebuild } from './rebuild.ts';
import type { Judged } from './search.ts';
import type { Task } from './task.ts';

/** What the search ends with: the model that keeps the target, and each policy's accuracy when made as well. */
export interface Finish { readonly winner: Winner; readonly accuracies: ReadonlyMap<string, number>; readonly baselines: readonly Judged[] }

/** Turns the search's best choices into the final model, as the target asks. @throws {UnreachableTargetError} when none of them keeps it */
export async function finish({ goal, space, thorough }: Calibration, agent: readonly Judged[], baselines: readonly Judged[], judge: CandidateJudge, task: Task, progress: (fraction: number) => void): Promise<Finish> {
  const craft = await thorough(), { signal } = craft.options;
  if (goal.allowedDrop === undefined) return { ...await rebuild(agent, baselines, judge, task.judge, craft, progress), baselines };
  return rebuildGuaranteed(space, agent, baselines, task.judge.original - goal.allowedDrop - 1e-9, async (counts) => {
    const proto = await judge.make(counts, craft);
    return { proto, accuracy: await task.judge.accuracy(proto, undefined, signal) };
  }, progress);
}
