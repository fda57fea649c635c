import type { CandidateJudge } from '../rl/candidateJudge.ts';
import type { RunFolder } from '../run/runFolder.ts';
import type { Calibration } from './calibrate.ts';
import { floorOf, latencyLimit } from './goal.ts';
import { rebuildGuaranteed } from './guarantee.ts';
import { type MeasuredRatio, meetLatency } from './latencyTarget.ts';
import type { Network } from './network.ts';
import { type MadeEntry, type Standing, type Winner, makeBy, rebuild } from './rebuild.ts';
import type { Judged } from './search.ts';
import type { Task } from './task.ts';

/** The network that keeps the target, repaired: its choice, and its accuracy on all validation images. */
export interface Finalist extends Pick<Winner, 'policy' | 'counts' | 'accuracy'> { readonly proto: Network['proto'] }

/** What the search ends with: the network that keeps the target, and how each policy did. */
export interface Finish { readonly winner: Finalist; readonly standings: ReadonlyMap<string, Standing>; readonly baselines: readonly Judged[]; readonly notes: readonly string[] }

/** Turns the search's best choices into the final model, as the target asks. @throws {UnreachableTargetError} when none of them keeps it */
export async function finish(calibration: Calibration, network: Network, agent: readonly Judged[], baselines: readonly Judged[], judge: CandidateJudge, task: Task, run: RunFolder, signal: AbortSignal, progress: (fraction: number) => void): Promise<Finish> {
  const { goal, space } = calibration, journalOf = <Entry extends { readonly policy: string }>(policy: Entry['policy']) => ({ known: (run.entries as Entry[]).filter((entry) => entry.policy === policy), append: (entry: Entry) => run.append(entry) });
  const make = makeBy(calibration, judge, task.judge, signal, journalOf<MadeEntry>('rebuild')), { winner: { policy, counts, accuracy, model }, ...rest } = await chosen();
  return { ...rest, winner: { policy, counts, accuracy, proto: await model() } };

  async function chosen(): Promise<Omit<Finish, 'winner'> & { readonly winner: Winner }> {
    if (goal.allowedDrop !== undefined) return { ...await rebuildGuaranteed(space, agent, baselines, floorOf(run.options.target, task.judge.original), make, progress), notes: [] };
    const { winner, standings } = await rebuild(agent, baselines, make, progress);
    if (!latencyLimit(goal)) return { winner, standings, baselines, notes: [] };
    const { note, ...met } = await meetLatency(space, goal, network, winner, task, run.options.threads, make.thorough, journalOf<MeasuredRatio>('latency'), signal);
    return { ...met, standings, baselines, notes: [note] };
  }
}
