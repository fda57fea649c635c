import { resolve } from 'node:path';
import { CancelledError, InputError, UserError } from './errors.ts';
import { withPreprocessing } from './evaluation/recordedPreprocessing.ts';
import { type Calibration, calibrate } from './flow/calibrate.ts';
import { type Finish, finish } from './flow/finish.ts';
import { type Network, defaultOut, modelEvent, openNetwork } from './flow/network.ts';
import { outlook } from './flow/outlook.ts';
import { type Findings, makeReport, paretoFront } from './flow/report.ts';
import { type JournalEntry, type Judged, Search, bestOf } from './flow/search.ts';
import { type Task, openTask } from './flow/task.ts';
import { requireTrainable, trainSteps } from './flow/train.ts';
import { checkOut } from './onnx/checkOut.ts';
import { saveModel } from './onnx/modelFile.ts';
import type { CompressOptions, Report, RunEvent } from './protocol.ts';
import { type Plan, planFrom } from './pruning/plan.ts';
import { CandidateJudge } from './rl/candidateJudge.ts';
import type { Counts } from './rl/searchSpace.ts';
import { type RunFolder, checkInputs, createRunFolder, openRunFolder, readRunFolder } from './run/runFolder.ts';
import { StageClock } from './run/stageClock.ts';
import { setMatrixThreads } from './runtime/matrix.ts';

/** How a run talks to its caller. */
export interface RunContext { emit(event: RunEvent): void; readonly signal: AbortSignal }

/**
 * Compresses a model: the whole method of ADC/AMC (arXiv 1802.03494), from the file to the smaller file.
 * @throws {UserError} for wrong input (exit status 2), a target out of reach (3), a cancelled run (130): `resume` goes on with that
 */
export async function compress(options: CompressOptions, context: RunContext): Promise<Report> {
  return carryOut(await createRunFolder(options), context);
}

/** Goes on with an interrupted run, to the result that it would have had. */
export async function resume(runDir: string, context: RunContext): Promise<Report> {
  return carryOut(await openRunFolder(runDir), context);
}

/**
 * Makes the model of one candidate of a run, which may be finished, stopped or going on, and writes it.
 * @param episode of the agent, from 1
 */
export async function exportCandidate(runDir: string, episode: number, out: string, { emit, signal }: RunContext): Promise<void> {
  const run = await readRunFolder(runDir), { options, entries } = run;
  const entry = (entries as JournalEntry[]).find(({ policy, episode: at }) => policy === 'agent' && at === episode);
  if (!entry) throw new InputError(`The run ${runDir} has no episode ${episode}.`);
  await checkOut(out, options.model, { read: dataOf(options) });
  await checkInputs(run, ['model', 'val', 'calibration']);
  setMatrixThreads(options.threads);
  const clock = new StageClock(emit), network = await openNetwork(options.model, options.method);
  clock.start('data');
  const task = await openTask(network, options, signal);
  clock.start('calibrate');
  const { space, thorough } = await calibrate(network, task, options, signal, (fraction) => { clock.progress(fraction); });
  clock.start('rebuild');
  const made = await new CandidateJudge(network.proto, space, task.judge).make(entry.counts, await thorough());
  await saveModel(withPreprocessing(network.inFileType(made), task.preparation.recipe), resolve(out));
}

/** Data that a run reads. */
const dataOf = ({ val, calibration, train }: CompressOptions): (string | undefined)[] => [val, calibration, train];

/** Options that have no effect, for people. */
const unusedOptions = ({ train, finetune }: CompressOptions): string[] => (train !== undefined && finetune === 0 ? [`Option train is of no effect without fine-tuning: the images of ${train} are not used. Give its epochs with --finetune.`] : []);

async function carryOut(run: RunFolder, context: RunContext): Promise<Report> {
  try {
    return await runStages(run, context);
  } catch (error) {
    if (error instanceof UserError && error.exitStatus !== 130) await run.abandon(); // wrong input leaves nothing behind
    if (context.signal.aborted && !(error instanceof UserError)) throw new CancelledError(`Stopped. To go on: auto-compress resume ${run.path}`, { cause: error });
    throw error;
  } finally {
    await run.close();
  }
}

async function runStages(run: RunFolder, caller: RunContext): Promise<Report> {
  const { options } = run, { signal } = caller, clock = new StageClock((event) => { caller.emit(event); });
  const emit = (event: RunEvent): void => { caller.emit(clock.timed(event)); }, context: RunContext = { emit, signal };
  const out = resolve(options.out ?? defaultOut(options.model));
  await checkOut(out, options.model, { read: dataOf(options) });
  emit({ type: 'run', runDir: run.path, out, resumed: run.resumed });
  setMatrixThreads(options.threads);

  clock.start('load');
  const network = await openNetwork(options.model, options.method);

  clock.start('data');
  const task = await openTask(network, options, signal);
  emit({ type: 'data', images: task.judge.images.count, classes: task.classes, preprocessing: task.preparation.description, metric: task.judge.metric, accuracy: task.judge.original, ...(task.classNames ? { classNames: task.classNames } : {}) });
  for (const message of [...task.doubts, ...unusedOptions(options)]) emit({ type: 'warning', message });
  await requireTrainable(network, task, options, signal);

  const found = await findSmaller(network, task, run, clock, context);
  const { space, winner } = found, kept = space.keptFor(winner.counts);
  await writePlans(found, network, run);

  const { proto, steps, notes } = await trainSteps(network, task, { ...winner, kept, macs: space.costOf(winner.counts).macs }, options, run, clock, context);
  await saveModel(withPreprocessing(network.inFileType(proto), task.preparation.recipe), out);

  clock.start('report');
  const report = await makeReport({ ...found, network, task, out, steps, notes: [...found.notes, ...notes] }, options, () => clock.seconds());
  await run.writeReport(report);
  emit({ type: 'result', out, plan: run.file('plan.json'), report: run.file('report.json'), summary: report });
  return report;
}

/** The plan of the written model, and those of the trade-off's points that no other beats. */
async function writePlans({ space, winner, agent, baselines }: Pick<Findings, 'space' | 'winner' | 'agent' | 'baselines'>, network: Network, run: RunFolder): Promise<void> {
  const planOf = (counts: Counts): Plan => planFrom(network.analysis, space.keptFor(counts), network, space.densitiesFor(counts));
  await run.writePlan(planOf(winner.counts));
  for (const { policy, counts, candidate: { episode } } of paretoFront([...agent, ...baselines])) await run.writePointPlan(policy === 'agent' ? `episode-${episode}` : policy, planOf(counts));
}

/** The best smaller network, repaired, and how it was found. What calibration holds in memory, often gigabytes, is given back when this returns. */
async function findSmaller(network: Network, task: Task, run: RunFolder, clock: StageClock, context: RunContext): Promise<Pick<Findings, 'space' | 'agent' | 'rivals' | 'profile'> & Finish> {
  clock.start('calibrate');
  const calibration = await calibrate(network, task, run.options, context.signal, (fraction) => { clock.progress(fraction); }), { space } = calibration;
  context.emit(modelEvent(network, space.groups.map(({ group }) => group)));

  clock.expect(outlook(network, task, calibration, run.options, clock.seconds()));
  clock.start('search');
  const judge = new CandidateJudge(network.proto, space, task.judge, calibration.profile), { agent, rivals } = await searchAll(calibration, task, judge, run, context);

  clock.start('rebuild');
  return { space, agent, rivals, profile: calibration.profile.seconds, ...await finish(calibration, network, agent, rivals, judge, task, run, context.signal, (fraction) => { clock.progress(fraction); }) };
}

async function searchAll(calibration: Calibration, task: Task, judge: CandidateJudge, run: RunFolder, context: RunContext): Promise<{ agent: Judged[]; rivals: Judged[] }> {
  const search = new Search(calibration, task, judge, run.options, run, context);
  await search.anchor();
  const rivals = await search.baselines(), agent = await search.agent();
  if (run.options.baseline.includes('random')) rivals.push(bestOf(await search.random()));
  return { agent, rivals };
}
