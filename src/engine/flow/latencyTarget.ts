import { createHash } from 'node:crypto';
import { mkdir } from 'node:fs/promises';
import { availableParallelism, arch, cpus, homedir, platform } from 'node:os';
import { join } from 'node:path';
import { UnreachableTargetError } from '../errors.ts';
import { latencyRatio, timeInTurn } from '../evaluation/latency.ts';
import { type LatencyTable, type Predictor, latencyPredictor, latencyTableSchema, measureTable } from '../evaluation/latencyTable.ts';
import { inputShapesOf } from '../evaluation/samples.ts';
import type { CompressOptions } from '../protocol.ts';
import { applyPlan } from '../pruning/surgery.ts';
import { stepOf } from '../pruning/uniform.ts';
import { allocate } from '../rl/allocation.ts';
import type { ChannelSpace } from '../rl/channelSpace.ts';
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
function tableName({ sha256 }: Network, space: SearchSpace, { judge }: Task, { threads, roundTo, minPreserve }: CompressOptions): string {
  const machine = [cpus()[0]?.model, cpus().length, availableParallelism(), arch(), platform(), runtimeVersion, threads, sha256, inputShapesOf(judge.images), roundTo, minPreserve, space.least.includes(0)];
  return `${createHash('sha256').update(JSON.stringify(machine)).digest('hex').slice(0, 32)}.json`;
}

async function readTable(path: string): Promise<LatencyTable | undefined> {
  const parsed = latencyTableSchema.safeParse(await readJson(path).catch(() => undefined));
  return parsed.success ? parsed.data : undefined;
}

/**
 * The latency table of a run: what its folder holds, so that a resumed run goes on with the same one; else what an earlier run measured on this machine;
 * else measured now.
 * @param spaceBy the choices there are, as costs are predicted @param budget of time: the table is bent to what the allocation without search for it is measured to take
 * @returns predicts the time of a pruned network as a fraction of the original's
 */
export async function latencyOf(network: Network, spaceBy: (latency?: Predictor) => ChannelSpace, budget: number, task: Task, options: CompressOptions, signal: AbortSignal, progress: (fraction: number) => void): Promise<Predictor> {
  const space = spaceBy(), own = options.runDir === undefined ? undefined : join(options.runDir, 'latency-table.json'), shared = join(cacheFolder(), tableName(network, space, task, options)), { proto, analysis } = network;
  const known = own === undefined ? undefined : await readTable(own);
  if (known) return latencyPredictor(known, proto, analysis);
  const table = await readTable(shared) ?? await measure(network, space, task, options, signal, progress);
  await mkdir(cacheFolder(), { recursive: true }).then(() => writeJson(shared, table)).catch(() => undefined); // a cache that can't be written is none
  const straight = latencyPredictor(table, proto, analysis), counts = allocate(spaceBy(straight), budget, 1, { byShare: true }), kept = counts && space.keptFor(counts);
  const bend = kept && bendOf(straight(kept), (await ratioTo(network, applyPlan(proto, analysis, kept), task, options.threads, signal)).value), bent: LatencyTable = { ...table, ...(bend === undefined ? {} : { bend }) };
  if (own !== undefined) await writeJson(own, bent);
  return latencyPredictor(bent, proto, analysis);
}

/** The power to which a predicted fraction of the original's time is the measured one; undefined where there is none to speak of. */
const bendOf = (predicted: number, measured: number): number | undefined => (predicted < 0.98 && measured < 0.98 ? Math.log(measured) / Math.log(predicted) : undefined);

/** A network's time against the original's, measured in turn. */
async function ratioTo({ proto: original }: Network, proto: Network['proto'], task: Task, threads: number, signal: AbortSignal | undefined): Promise<MeasuredRatio['ratio']> {
  const [now, whole] = await timeInTurn([proto, original], { batch: 1, threads, seconds: secondsARatio, inputShapes: inputShapesOf(task.judge.images), ...(signal ? { signal } : {}) });
  return latencyRatio(now!, whole!);
}

async function measure({ proto, analysis }: Network, space: ChannelSpace, task: Task, { threads, roundTo, minPreserve }: CompressOptions, signal: AbortSignal, progress: (fraction: number) => void): Promise<LatencyTable> {
  const uniform = networkRatios.map((ratio) => space.groups.map((_, i) => space.countFor(i, ratio))), withoutBranches = space.full.map((count, i) => (space.least[i] === 0 ? 0 : count));
  const choices = new Map([...uniform, withoutBranches].map((counts) => [counts.join(), space.keptFor(counts)]));
  return measureTable(proto, analysis, [...choices.values()].map((kept) => ({ kept, model: applyPlan(proto, analysis, kept) })), {
    threads, signal, progress, inputShapes: inputShapesOf(task.judge.images),
    widthsOf: (full) => { const step = stepOf(full, roundTo); return { step, least: Math.max(1, Math.min(full, Math.ceil((full * minPreserve) / step) * step)) }; },
  });
}

/** A measured ratio of times and its 95% confidence interval, as the journal keeps it: a resumed run goes on with what was measured. */
export interface MeasuredRatio { readonly policy: 'latency'; readonly episode: number; readonly counts: Counts; readonly ratio: { readonly value: number; readonly low: number; readonly high: number } }
export interface RatioJournal { readonly known: readonly MeasuredRatio[]; append(entry: MeasuredRatio): Promise<void> }

/** Seconds of measuring a candidate against the original, corrections of the budget, and how far below the target time is left unused. */
const secondsARatio = 6, mostCorrections = 6, unused = 0.97;

/** A choice, the predicted time that it was made for, and its time against the original's. */
interface Timed { readonly counts: Counts; readonly aim: number; readonly ratio: MeasuredRatio['ratio'] }

/** The next budget to try: between one that is too slow and one that is not, or as far off as the time is. */
function nextAim(timed: readonly Timed[], target: number): number {
  const slower = timed.filter(({ ratio }) => ratio.value > target).map(({ aim }) => aim), faster = timed.filter(({ ratio }) => ratio.value <= target).map(({ aim }) => aim), { aim, ratio } = timed.at(-1)!;
  if (slower.length > 0 && faster.length > 0) return (Math.min(...slower) + Math.max(...faster)) / 2;
  return aim * Math.min(1.3, Math.max(0.6, (target * (unused + 1) / 2) / ratio.value));
}

/**
 * Measures the winner's time against the original's, and where it misses the target, or leaves much of it, looks for the budget at which the network in the winner's
 * proportions keeps it; other limits of the goal are kept as well. What is found is made, and stands if it is more accurate than a winner that keeps the target too.
 * @param make builds a choice thoroughly and judges it on all images
 * @throws {UnreachableTargetError} when no network keeps the target: says how near it got
 */
export async function meetLatency(space: SearchSpace, goal: Goal, network: Network, first: Winner, task: Task, threads: number, make: (counts: Counts) => Promise<Made>, journal: RatioJournal, signal: AbortSignal | undefined): Promise<{ winner: Winner; note: string }> {
  const timed: Timed[] = [], least = space.costOf(space.least).latency!, { budget, asked: target } = latencyLimit(goal)!;
  const rescaledTo = (aim: number): Counts => { const [one, ...others] = goal.limits.map((limit) => (limit.cost === 'latency' ? { ...limit, budget: aim } : limit)); return rescaled(space.under([one!, ...others]), first.counts, one!.budget); };
  const ratioOf = async (counts: Counts): Promise<MeasuredRatio['ratio']> => {
    const before = journal.known.find(({ episode, counts: own }) => episode === timed.length && own.join() === counts.join());
    if (before) return before.ratio;
    const ratio = await ratioTo(network, applyPlan(network.proto, network.analysis, space.keptFor(counts)), task, threads, signal);
    await journal.append({ policy: 'latency', episode: timed.length, counts, ratio });
    return ratio;
  };
  let counts = first.counts, aim = budget;
  for (let correction = 0; ; correction++) {
    const ratio = await ratioOf(counts);
    timed.push({ counts, aim, ratio });
    if (correction === mostCorrections || (ratio.value <= target.value && ratio.value > target.value * unused)) break;
    aim = Math.min(1, Math.max(least, nextAim(timed, target.value)));
    counts = rescaledTo(aim);
    if (timed.some((other) => other.counts.join() === counts.join())) break;
  }
  // within the target, or not above it by more than the noise of measuring
  const kept = [({ ratio }: Timed) => ratio.value <= target.value, ({ ratio }: Timed) => ratio.low <= target.value].map((keeps) => timed.filter(keeps)).find((some) => some.length > 0);
  if (!kept) throw new UnreachableTargetError(`Target latency=${target.value} can't be reached on this machine: the fastest network that was made took ${Math.min(...timed.map(({ ratio }) => ratio.value)).toFixed(3)} of the original's time. Choose that or more, or lower --min-preserve.`);
  const fullest = kept.reduce((a, b) => (b.ratio.value > a.ratio.value ? b : a)), asFound = kept.find((one) => one.counts === first.counts);
  const made: Winner = fullest === asFound ? first : { policy: first.policy, counts: fullest.counts, ...await make(fullest.counts) }, winner = asFound && first.accuracy >= made.accuracy ? first : made;
  const { ratio } = winner === first ? asFound! : fullest, predicted = space.costOf(winner.counts).latency ?? NaN;
  return { winner, note: `Time of one run, as a fraction of the original's: ${predicted.toFixed(3)} predicted from the latency table, ${ratio.value.toFixed(3)} measured before the model was written (95% interval ${ratio.low.toFixed(3)} to ${ratio.high.toFixed(3)}).` };
}
