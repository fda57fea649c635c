import { createHash } from 'node:crypto';
import { mkdir } from 'node:fs/promises';
import { availableParallelism, arch, cpus, homedir, platform } from 'node:os';
import { join } from 'node:path';
import { UnreachableTargetError } from '../errors.ts';
import { latencyRatio, timeInTurn } from '../evaluation/latency.ts';
import { type LatencyTable, latencyPredictor, latencyTableSchema, measureTable } from '../evaluation/latencyTable.ts';
import { inputShapesOf } from '../evaluation/samples.ts';
import type { CompressOptions } from '../protocol.ts';
import type { KeptUnits } from '../pruning/types.ts';
import { applyPlan } from '../pruning/surgery.ts';
import type { RankedGroup } from '../reconstruction/calibration.ts';
import { stepOf } from '../pruning/uniform.ts';
import { ChannelSpace } from '../rl/channelSpace.ts';
import type { Counts, SearchSpace } from '../rl/searchSpace.ts';
import { readJson, writeJson } from '../run/runFolder.ts';
import { runtimeVersion } from '../runtime/session.ts';
import { type Goal, latencyLimit } from './goal.ts';
import { rescaled } from './guarantee.ts';
import type { Network } from './network.ts';
import type { Made, Winner } from './rebuild.ts';
import type { Task } from './task.ts';

/** Preserve ratios of the whole networks that the table is scaled by. */
const networkRatios = [1, 0.75, 0.5, 0.25];

/** Where tables are kept between runs: a folder for caches of the system's kind. */
const cacheFolder = (): string => join(process.env['XDG_CACHE_HOME'] ?? (platform() === 'win32' ? (process.env['LOCALAPPDATA'] ?? homedir()) : join(homedir(), platform() === 'darwin' ? 'Library/Caches' : '.cache')), 'auto-compress', 'latency');

/** What a table depends on: this machine, onnxruntime, the model and the size of its inputs, which it may leave open, and which widths are allowed. */
function tableName({ sha256 }: Network, { judge }: Task, { threads, roundTo, minPreserve }: CompressOptions): string {
  const machine = [cpus()[0]?.model, cpus().length, availableParallelism(), arch(), platform(), runtimeVersion, threads, sha256, inputShapesOf(judge.images), roundTo, minPreserve];
  return `${createHash('sha256').update(JSON.stringify(machine)).digest('hex').slice(0, 32)}.json`;
}

async function readTable(path: string): Promise<LatencyTable | undefined> {
  const parsed = latencyTableSchema.safeParse(await readJson(path).catch(() => undefined));
  return parsed.success ? parsed.data : undefined;
}

/**
 * The latency table of a run: what its folder holds, so that a resumed run goes on with the same one; else what an earlier run measured on this machine;
 * else measured now.
 * @returns predicts the time of a pruned network as a fraction of the original's
 */
export async function latencyOf(network: Network, ranked: readonly RankedGroup[], task: Task, options: CompressOptions, signal: AbortSignal, progress: (fraction: number) => void): Promise<(kept: KeptUnits) => number> {
  const own = options.runDir === undefined ? undefined : join(options.runDir, 'latency-table.json'), shared = join(cacheFolder(), tableName(network, task, options));
  let table = own === undefined ? undefined : await readTable(own);
  if (!table) {
    table = await readTable(shared) ?? await measure(network, ranked, task, options, signal, progress);
    if (own !== undefined) await writeJson(own, table);
    await mkdir(cacheFolder(), { recursive: true }).then(() => writeJson(shared, table)).catch(() => undefined); // a cache that can't be written is none
  }
  return latencyPredictor(table, network.proto, network.analysis);
}

async function measure({ proto, analysis }: Network, ranked: readonly RankedGroup[], task: Task, { threads, roundTo, minPreserve }: CompressOptions, signal: AbortSignal, progress: (fraction: number) => void): Promise<LatencyTable> {
  const space = new ChannelSpace(analysis, ranked, [{ cost: 'macs', budget: 1 }], { minPreserve, roundTo });
  const choices = new Map(networkRatios.map((ratio) => space.groups.map((_, i) => space.countFor(i, ratio))).map((counts) => [counts.join(), space.keptFor(counts)]));
  return measureTable(proto, analysis, [...choices.values()].map((kept) => ({ kept, model: applyPlan(proto, analysis, kept) })), {
    threads, signal, progress, inputShapes: inputShapesOf(task.judge.images),
    widthsOf: (full) => { const step = stepOf(full, roundTo); return { step, least: Math.max(1, Math.min(full, Math.ceil((full * minPreserve) / step) * step)) }; },
  });
}

/** A measured ratio of times and its 95% confidence interval, as the journal keeps it: a resumed run goes on with what was measured. */
export interface MeasuredRatio { readonly policy: 'latency'; readonly episode: number; readonly counts: Counts; readonly accuracy: number; readonly reward: number; readonly ratio: { readonly value: number; readonly low: number; readonly high: number } }
export interface RatioJournal { readonly known: readonly MeasuredRatio[]; append(entry: MeasuredRatio): Promise<void> }

/** Seconds of measuring a candidate against the original, corrections of the budget, and how far below the target time is left unused. */
const secondsARatio = 6, mostCorrections = 3, unused = 0.93;

/**
 * Measures the winner's time against the original's, and where it misses the target, or leaves much of it, moves the budget by as much and makes the network
 * again in the winner's proportions; other limits of the goal are kept as well.
 * @param make builds a choice thoroughly and judges it on all images
 * @throws {UnreachableTargetError} when no network keeps the target: says how near it got
 */
export async function meetLatency(space: SearchSpace, goal: Goal, original: Network['proto'], first: Winner, task: Task, threads: number, make: (counts: Counts) => Promise<Made>, journal: RatioJournal, signal: AbortSignal | undefined): Promise<{ winner: Winner; note: string }> {
  const tried: { winner: Winner; ratio: MeasuredRatio['ratio'] }[] = [], least = space.spent(space.least);
  const { limits } = goal, [{ budget }] = limits, most = limits.length > 1 ? budget : 1, target = latencyLimit(goal)!.asked;
  const ratioOf = async ({ counts, proto, accuracy }: Winner): Promise<MeasuredRatio['ratio']> => {
    const before = journal.known.find(({ episode, counts: own }) => episode === tried.length && own.join() === counts.join());
    if (before) return before.ratio;
    const [now, whole] = await timeInTurn([proto, original], { batch: 1, threads, seconds: secondsARatio, inputShapes: inputShapesOf(task.judge.images), ...(signal ? { signal } : {}) });
    const ratio = latencyRatio(now!, whole!);
    await journal.append({ policy: 'latency', episode: tried.length, counts, accuracy, reward: 0, ratio });
    return ratio;
  };
  let winner = first, aim = budget;
  for (let correction = 0; ; correction++) {
    const ratio = await ratioOf(winner);
    tried.push({ winner, ratio });
    const within = ratio.value <= target.value;
    if (correction === mostCorrections || (within && ratio.value > target.value * unused)) break;
    aim = Math.min(most, Math.max(least, aim * Math.min(1.3, Math.max(0.6, (target.value * (unused + 1) / 2) / ratio.value))));
    const counts = rescaled(space, winner.counts, aim);
    if (tried.some((other) => other.winner.counts.join() === counts.join())) break;
    winner = { policy: first.policy, counts, ...await make(counts) };
  }
  // within the target, or not above it by more than the noise of measuring
  const kept = [({ ratio }: typeof tried[number]) => ratio.value <= target.value, ({ ratio }: typeof tried[number]) => ratio.low <= target.value].map((keeps) => tried.filter(keeps)).find((some) => some.length > 0);
  if (!kept) throw new UnreachableTargetError(`Target latency=${target.value} can't be reached on this machine: the fastest network that was made took ${Math.min(...tried.map(({ ratio }) => ratio.value)).toFixed(3)} of the original's time. Choose that or more, or lower --min-preserve.`);
  const best = kept.reduce((a, b) => (b.winner.accuracy > a.winner.accuracy ? b : a)), predicted = space.costOf(best.winner.counts).latency ?? NaN;
  return { winner: best.winner, note: `Time of one run, as a fraction of the original's: ${predicted.toFixed(3)} predicted from the latency table, ${best.ratio.value.toFixed(3)} measured before the model was written (95% interval ${best.ratio.low.toFixed(3)} to ${best.ratio.high.toFixed(3)}).` };
}
