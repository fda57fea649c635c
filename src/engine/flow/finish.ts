import type { CandidateJudge } from '../rl/candidateJudge.ts';
import type { RunFolder } from '../run/runFolder.ts';
import type { Calibration } from './calibrate.ts';
import { floorOf, latencyLimit } from './goal.ts';
import { rebuildGuaranteed } from './guarantee.ts';
import { type MeasuredRatio, meetLatency } from './latencyTarget.ts';
import type { Network } from './network.ts';
import { type Standing, type Winner, makeBy, rebuild } from './rebuild.ts';
import type { Judged } from './search.ts';
import type { Task } from './task.ts';

/** What the search ends with: the model that keeps the target, and how each policy did. */
export interface Finish { readonly winner: Winner; readonly standings: ReadonlyMap<string, Standing>; readonly baselines: readonly Judged[]; readonly notes: readonly string[] }

/** Turns the search's best choices into the final model, as the target asks. @throws {UnreachableTargetError} when none of them keeps it */
export async function finish(calibration: Calibration, network: Network, agent: readonly Judged[], baselines: readonly Judged[], judge: CandidateJudge, task: Task, run: RunFolder, signal: AbortSignal, progress: (fraction: number) => void): Promise<Finish> {
  const { goal, space } = calibration, make = makeBy(calibration, judge, task.judge, signal);
  if (goal.allowedDrop !== undefined) return { ...await rebuildGuaranteed(space, agent, baselines, floorOf(goal, task.judge.original), make, progress), notes: [] };
  const { winner, standings } = await rebuild(agent, baselines, make, progress);
  if (!latencyLimit(goal)) return { winner, standings, baselines, notes: [] };
  const known = (run.entries as MeasuredRatio[]).filter(({ policy }) => policy === 'latency');
  const met = await meetLatency(space, goal, network, winner, task, run.options.threads, make.thorough, { known, append: (entry) => run.append(entry) }, signal);
  return { winner: met.winner, standings, baselines, notes: [met.note] };
}
