/** Every run of this window: one at a time, the others queue; their events are kept, and what was cut short can be resumed. Knows nothing of VS Code. */
import { randomUUID } from 'node:crypto';
import { EventEmitter } from 'node:events';
import { basename, join } from 'node:path';
import { UserError, messageOf } from '../engine/errors.ts';
import { type BenchmarkResult, type CompressRequest, type Report, type RunEvent, formatTarget } from '../engine/protocol.ts';
import { deleteRun } from '../engine/run/ownFiles.ts';
import { type RunStatus, type RunView, applyEvents, emptyRunView, outcomeOf } from '../webview/client/state.ts';
import type { Engine } from './engine.ts';
import { withMovedFiles } from './movedFiles.ts';
import { isThere, realOf } from './paths.ts';
import { type RunRecord, type RunStore, readReport, reportMs } from './runStore.ts';

/** A run: its record and, once it is needed, its view. */
export interface Run { readonly record: RunRecord; view: RunView }

interface ManagerEvents {
  /** A run changed its status; undefined where one, or its result, was found, and where one went. */
  changed: [Run | undefined];
  /** A run said something; its view already holds it. */
  event: [Run, RunEvent];
  /** A run ended in `done`, `stopped`, `failed` or `crashed`. */
  ended: [Run];
}

export interface ManagerOptions {
  readonly store: RunStore;
  readonly createEngine: () => Engine;
  readonly now?: () => number;
}

export const isActive = (status: RunStatus) => status === 'queued' || status === 'running' || status === 'stopping';
/** Whether the run ended before it was done and can be carried on: from its folder, or from its options where it has none. */
export const isResumable = ({ status, runDir, request }: RunRecord) => !isActive(status) && status !== 'done' && (runDir !== undefined || request !== undefined);
/** Whether there may be candidates to export: they are in the folder's journal, even while the run goes on. */
export const hasCandidates = ({ runDir }: RunRecord) => runDir !== undefined;
export const modelNameOf = ({ modelPath }: RunRecord) => basename(modelPath);

/** What a record keeps of a report. */
const resultOf = (report: Report): Pick<RunRecord, 'out' | 'outSha256' | 'outcome'> => ({ out: report.out, outcome: outcomeOf(report), ...(report.outSha256 === undefined ? {} : { outSha256: report.outSha256 }) });

export class RunManager extends EventEmitter<ManagerEvents> {
  /** Runs whose window went, in the order in which they are to go on: the one that ran, then those that waited; the next window does not count them again. */
  readonly cutShort: readonly Run[];
  private readonly options: ManagerOptions;
  private readonly runs = new Map<string, Run>();
  /** Histories that are read or being read. */
  private readonly loading = new Map<string, Promise<void>>();
  private readonly queue: string[] = [];
  /** Folders are looked through one time after another. */
  private adopting: Promise<void> = Promise.resolve();
  private active: { readonly run: Run; readonly controller: AbortController; readonly done: Promise<void> } | undefined;
  private stageStart: { readonly stage: string; readonly ms: number } | undefined;

  constructor(options: ManagerOptions) {
    super();
    this.options = options;
    for (const record of options.store.records()) this.runs.set(record.runId, { record, view: emptyRunView });
    const active = this.list().filter(({ record }) => isActive(record.status)).reverse(), [ran, waited] = [active.filter(({ record }) => record.status !== 'queued'), active.filter(({ record }) => record.status === 'queued')];
    this.cutShort = [...ran, ...waited];
    for (const run of this.cutShort) this.setStatus(run, 'interrupted');
  }

  /** Newest first. */
  list(): readonly Run[] { return [...this.runs.values()].sort((a, b) => b.record.createdMs - a.record.createdMs); }
  get(runId: string): Run | undefined { return this.runs.get(runId); }
  activeRun(): Run | undefined { return this.active?.run; }

  /** The run with its history read. */
  async load(runId: string): Promise<Run | undefined> {
    const run = this.runs.get(runId);
    if (run && !this.loading.has(runId) && run !== this.active?.run) this.loading.set(runId, this.readHistory(run));
    await this.loading.get(runId);
    return run;
  }

  /** Queues a run and starts it as soon as no other is running. */
  start(request: CompressRequest): Run {
    const record: RunRecord = {
      runId: randomUUID(), modelPath: request.model, target: formatTarget(request.target), request, createdMs: this.now(), status: 'queued', seconds: {},
    };
    const run = { record, view: emptyRunView };
    this.runs.set(record.runId, run);
    this.loading.set(record.runId, Promise.resolve());
    this.enqueue(run);
    return run;
  }

  /** Goes on with a run that was stopped or cut short, from its journal; one that never had a folder, or whose folder is not there, begins anew. */
  async resume(runId: string): Promise<void> {
    const run = await this.load(runId);
    if (!run || !isResumable(run.record)) return;
    this.enqueue(run);
  }

  /** Asks a running run to stop, or takes a waiting one out of the queue. Resolves once it has ended. */
  async stop(runId: string): Promise<void> {
    const run = this.runs.get(runId);
    if (!run) return;
    const waiting = this.queue.indexOf(runId);
    if (waiting >= 0) {
      this.queue.splice(waiting, 1);
      this.setStatus(run, 'stopped');
      this.emit('ended', run);
    } else if (this.active?.run === run) {
      this.setStatus(run, 'stopping');
      this.active.controller.abort();
      await this.active.done;
    }
  }

  /** Resolves with the report of a run, or rejects with what went wrong, once it has ended. */
  finished(runId: string): Promise<Report> {
    return new Promise((resolve, reject) => {
      const settle = ({ record, view }: Run) => {
        if (record.runId !== runId) return;
        this.off('ended', settle);
        if (view.report && record.status === 'done') resolve(view.report);
        else reject(new UserError(record.problem ?? `The run is ${record.status}.`));
      };
      this.on('ended', settle);
    });
  }

  /** Keeps how fast the model of a run was. */
  keepBenchmark(run: Run, benchmark: BenchmarkResult): void { run.record.benchmark = benchmark; this.save(run); }

  /** Deletes a run that is not active: what it made in its folder, and what is remembered of it. @throws {InputError} where another process works on it */
  async remove(runId: string): Promise<void> {
    const run = this.runs.get(runId);
    if (!run || isActive(run.record.status)) return;
    if (run.record.runDir !== undefined) await deleteRun(run.record.runDir);
    this.runs.delete(runId);
    await this.options.store.forget(runId);
    this.save(undefined);
  }

  /** Takes in what the command line finished: runs of its own, by their folders, and those that ended early here and were resumed there. Its own whose folders are gone go. */
  adopt(runDirs: readonly string[]): Promise<void> {
    this.adopting = this.adopting.catch(() => undefined).then(() => this.takeResults()).then(() => this.takeFolders(runDirs));
    return this.adopting;
  }

  private async takeFolders(runDirs: readonly string[]): Promise<void> {
    let changed = false;
    const known = new Set<string>(); // without links: one folder may be seen in two places
    for (const { record: { runId, runDir, request } } of this.list()) {
      if (runDir === undefined) continue;
      if (request || await isThere(runDir)) known.add(await realOf(runDir));
      else changed = this.runs.delete(runId) || changed; // all that was known of it stood there
    }
    for (const runDir of runDirs) {
      const real = await realOf(runDir), found = known.has(real) ? undefined : await readReport(runDir);
      if (!found) continue;
      known.add(real);
      const report = await withMovedFiles(found, runDir), createdMs = await reportMs(runDir);
      if (this.list().some(({ record }) => record.runDir === runDir)) continue; // it was started meanwhile
      const record: RunRecord = {
        runId: randomUUID(), modelPath: report.model.path, target: formatTarget(report.target), createdMs, status: 'done', runDir, seconds: { ...report.seconds }, ...resultOf(report),
      };
      this.runs.set(record.runId, { record, view: emptyRunView });
      changed = true;
    }
    if (changed) this.save(undefined); // once: there may be hundreds
  }

  /** Runs that ended early and have a report by now are done. */
  private async takeResults(): Promise<void> {
    const endedEarly = ({ record: { status } }: Run) => !isActive(status) && status !== 'done';
    for (const run of this.list().filter(endedEarly)) {
      const { record } = run, { runId, runDir } = record, report = runDir === undefined ? undefined : await readReport(runDir);
      if (runDir === undefined || !report) continue;
      await this.load(runId);
      if (!endedEarly(run) || this.runs.get(runId) !== run) continue; // it was resumed or deleted meanwhile
      delete record.problem;
      this.receive(run, { type: 'result', out: report.out, plan: join(runDir, 'plan.json'), report: join(runDir, 'report.json'), summary: report });
      this.setStatus(run, 'done');
      this.emit('changed', undefined);
    }
  }

  /** Stops what runs; for the end of the window. */
  dispose(): void { this.queue.length = 0; this.active?.controller.abort(); this.removeAllListeners(); }

  private async readHistory(run: Run): Promise<void> {
    const view = await this.options.store.loadView(run.record);
    if (run.view === emptyRunView) run.view = view;
  }

  private enqueue(run: Run): void {
    delete run.record.problem;
    this.queue.push(run.record.runId);
    this.setStatus(run, 'queued');
    this.startNext();
  }

  private startNext(): void {
    if (this.active) return;
    const run = this.runs.get(this.queue.shift() ?? '');
    if (!run) return;
    const controller = new AbortController();
    this.active = { run, controller, done: Promise.resolve().then(() => this.execute(run, controller.signal)) };
  }

  private async execute(run: Run, signal: AbortSignal): Promise<void> {
    const { record } = run;
    const engine = this.options.createEngine();
    const options = { signal, onEvent: (event: RunEvent) => this.receive(run, event) };
    this.setStatus(run, 'running');
    let status: RunStatus = 'done';
    try {
      const { request, runDir } = record;
      await (request && !(runDir !== undefined && await isThere(runDir)) ? engine.compress(request, options) : engine.resume(runDir ?? '', options));
    } catch (error) {
      status = this.statusAfter(error, signal);
      if (status !== 'stopped') record.problem = messageOf(error);
      if (record.runDir !== undefined && run.view.candidates.length === 0 && !await isThere(record.runDir)) delete record.runDir; // the engine removes what wrong input left behind; a search may be put back
    } finally {
      engine.dispose();
      this.endStage(record);
    }
    this.active = undefined;
    this.setStatus(run, status);
    this.emit('ended', run);
    this.startNext();
  }

  /** What the engine refuses ends the run; with exit status 1 the engine itself failed or its process died. */
  private statusAfter(error: unknown, signal: AbortSignal): RunStatus {
    const exitStatus = error instanceof UserError ? error.exitStatus : 1;
    if (signal.aborted || exitStatus === 130) return 'stopped';
    return exitStatus === 1 ? 'crashed' : 'failed';
  }

  private receive(run: Run, event: RunEvent): void {
    const { record } = run;
    run.view = applyEvents(run.view, [event]);
    if (event.type === 'stage') this.enterStage(record, event.stage);
    if (event.type === 'run') {
      Object.assign(record, { runDir: event.runDir, out: event.out, ...(event.resumed ? {} : { seconds: {} }) });
      this.save(run);
    }
    if (event.type === 'result') { Object.assign(record, resultOf(event.summary)); }
    void this.options.store.append(record.runId, event);
    this.emit('event', run, event);
  }

  private enterStage(record: RunRecord, stage: string): void {
    if (this.stageStart?.stage === stage) return;
    this.endStage(record);
    this.stageStart = { stage, ms: this.now() };
  }

  private endStage({ seconds }: RunRecord): void {
    if (this.stageStart) seconds[this.stageStart.stage] = (seconds[this.stageStart.stage] ?? 0) + (this.now() - this.stageStart.ms) / 1000;
    this.stageStart = undefined;
  }

  private setStatus(run: Run, status: RunStatus): void { run.record.status = status; this.save(run); }

  private save(run: Run | undefined): void {
    void this.options.store.saveRecords([...this.runs.values()].map(({ record }) => record));
    this.emit('changed', run);
  }

  private now(): number { return (this.options.now ?? Date.now)(); }
}
