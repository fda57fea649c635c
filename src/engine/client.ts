/** The extension host's side of the engine: forks the worker process when it is first needed, and owns its life. */
import { type ChildProcess, fork } from 'node:child_process';
import { CancelledError, InputError, messageOf, UnreachableTargetError, UserError } from './errors.ts';
import type { BenchmarkResult, CompressRequest, DataPreview, GraphListing, Inspection, PreviewOptions, Report, RunEvent, WorkerRequest, WorkerResponse } from './protocol.ts';

/** What each request is answered with. */
interface Answers {
  compress: Report;
  resume: Report;
  inspect: Inspection;
  list: GraphListing;
  previewData: DataPreview;
  prune: { readonly out: string; readonly before: { readonly macs: number; readonly params: number; readonly sizeBytes: number }; readonly after: { readonly macs: number; readonly params: number; readonly sizeBytes: number } };
  benchmark: BenchmarkResult;
  export: undefined;
}
type Kind = keyof Answers;
type RequestOf<K extends Kind> = Omit<Extract<WorkerRequest, { type: K }>, 'type' | 'call'>;

export interface CallOptions {
  /** Called for every event of the run, in order, before the answer. */
  readonly onEvent?: (event: RunEvent) => void;
  /** Asks the worker to stop; the call then rejects with CancelledError. */
  readonly signal?: AbortSignal;
}
interface Pending { readonly call: number; readonly type: Kind; resolve(value: unknown): void; reject(error: Error): void; readonly onEvent: ((event: RunEvent) => void) | undefined }

/** How long a cancelled call may take to answer before its process is killed. */
const graceMs = 2000;
/** How long a process without a call is kept for the next one. */
const idleMs = 60_000;
/** The end of what a process wrote to its standard error, for the message when it dies. */
const keptErrorCharacters = 4000;

function errorOf(message: string, exitStatus: number): Error {
  switch (exitStatus) {
    case 130: return new CancelledError();
    case 3: return new UnreachableTargetError(message);
    case 2: return new InputError(message);
    default: return new UserError(`Internal error of the engine: ${message}`, { exitStatus: 1 });
  }
}

/** Why the worker ended, in plain words. */
function lastWords(code: number | null, signal: NodeJS.Signals | null, stderr: string, call: Kind | undefined): UserError {
  const how = signal === 'SIGKILL' ? 'was killed (by the system when memory runs out, or by hand)' : signal === 'SIGABRT' || signal === 'SIGSEGV' ? `crashed (${signal})` : signal ? `was stopped (${signal})` : `ended unexpectedly (exit status ${code})`;
  const lines = stderr.split('\n').map((line) => line.trim()).filter((line) => line !== '' && !/^Node\.js v/.test(line)); // with its version Node ends what it prints of an uncaught error
  const said = lines.findLast((line) => /^\w*Error\b/.test(line)) ?? lines.at(-1);
  return new UserError(`The engine's process ${how}${said ? `: ${said}` : ''}.${call === 'compress' || call === 'resume' ? ' The run can be resumed.' : ''}`, { exitStatus: 1 });
}

/**
 * Calls the engine, each call in a process of its own, so that a long run holds up nothing and a crash of onnxruntime or a kill ends one
 * call only. A process that is done is kept a while for the next call.
 */
export class EngineClient {
  private readonly workerPath: string;
  private readonly busy = new Map<ChildProcess, Pending>();
  private idle: ChildProcess | undefined;
  private calls = 0;
  private disposed = false;

  /** @param workerPath the bundled worker, dist/worker.js */
  constructor(workerPath: string) { this.workerPath = workerPath; }

  compress(request: CompressRequest, options?: CallOptions): Promise<Report> { return this.call('compress', { options: request }, options); }
  resume(runDir: string, options?: CallOptions): Promise<Report> { return this.call('resume', { runDir }, options); }
  inspect(model: string, options?: CallOptions): Promise<Inspection> { return this.call('inspect', { model }, options); }
  list(model: string, options?: CallOptions): Promise<GraphListing> { return this.call('list', { model }, options); }
  previewData(model: string, data: string, how: PreviewOptions, options?: CallOptions): Promise<DataPreview> { return this.call('previewData', { model, data, how }, options); }
  prune(request: RequestOf<'prune'>, options?: CallOptions): Promise<Answers['prune']> { return this.call('prune', request, options); }
  benchmark(model: string, against: string | undefined, options?: CallOptions): Promise<BenchmarkResult> {
    return this.call('benchmark', { model, ...(against === undefined ? {} : { against }) }, options);
  }
  /** Writes the model of one candidate of a run. */
  async exportPoint(runDir: string, episode: number, out: string, options?: CallOptions): Promise<void> { await this.call('export', { runDir, episode, out }, options); }

  /** Numbers of the processes that work on a call. */
  get processIds(): number[] { return [...this.busy.keys()].flatMap(({ pid }) => (pid === undefined ? [] : [pid])); }

  /** Ends all processes; open calls are cancelled. A run can be resumed afterwards. */
  dispose(): void {
    this.disposed = true;
    for (const [worker, pending] of [...this.busy]) {
      pending.reject(new CancelledError());
      worker.kill('SIGKILL'); // its files are whole at any time
    }
    this.idle?.kill('SIGKILL');
    this.idle = undefined;
  }

  private call<K extends Kind>(type: K, request: RequestOf<K>, { onEvent, signal }: CallOptions = {}): Promise<Answers[K]> {
    if (this.disposed) return Promise.reject(new UserError('The engine has been stopped.', { exitStatus: 1 }));
    if (signal?.aborted) return Promise.reject(new CancelledError());
    const call = ++this.calls;
    return new Promise<Answers[K]>((resolve, reject) => {
      const worker = this.take();
      const cancel = (): void => { this.cancel(worker, call); };
      const settled = (): void => {
        signal?.removeEventListener('abort', cancel);
        this.busy.delete(worker);
        this.giveBack(worker);
      };
      this.busy.set(worker, { call, type, onEvent, resolve: (value) => { settled(); resolve(value as Answers[K]); }, reject: (error) => { settled(); reject(error); } });
      signal?.addEventListener('abort', cancel, { once: true });
      worker.send({ type, call, ...request } as unknown as WorkerRequest, (error) => { if (error) this.fail(worker, new UserError(`The engine's process can't be reached: ${messageOf(error)}`, { exitStatus: 1, cause: error })); });
    });
  }

  /** Asks for a call to stop; kills its process when there is no answer in time, as it may be inside a long native run. */
  private cancel(worker: ChildProcess, call: number): void {
    worker.send({ type: 'cancel', call } satisfies WorkerRequest, () => undefined);
    setTimeout(() => {
      if (this.busy.get(worker)?.call !== call) return;
      worker.kill('SIGKILL');
      this.fail(worker, new CancelledError());
    }, graceMs).unref();
  }

  private fail(worker: ChildProcess, error: Error): void { this.busy.get(worker)?.reject(error); }

  private take(): ChildProcess {
    const worker = this.idle ?? this.start();
    this.idle = undefined;
    worker.ref();
    worker.channel?.ref();
    return worker;
  }

  /** A process that waits does not keep its parent alive, and ends after a while. */
  private giveBack(worker: ChildProcess): void {
    if (!worker.connected || worker.killed || this.disposed) return;
    if (this.idle) { worker.disconnect(); return; }
    this.idle = worker;
    worker.unref();
    worker.channel?.unref();
    setTimeout(() => {
      if (this.idle !== worker) return;
      this.idle = undefined;
      worker.disconnect();
    }, idleMs).unref();
  }

  private start(): ChildProcess {
    // execArgv of an extension host is not for its children; ELECTRON_RUN_AS_NODE makes desktop VS Code's executable a Node
    const worker = fork(this.workerPath, [], { execPath: process.execPath, execArgv: [], env: { ...process.env, ELECTRON_RUN_AS_NODE: '1' }, serialization: 'advanced', stdio: ['ignore', 'pipe', 'pipe', 'ipc'] });
    let stderr = '';
    worker.stdout?.resume();
    worker.stderr?.on('data', (chunk: Buffer) => { stderr = (stderr + chunk.toString()).slice(-keptErrorCharacters); });
    for (const stream of [worker.stdout, worker.stderr]) (stream as { unref?: () => void } | null)?.unref?.();
    worker.on('message', (message: WorkerResponse) => { this.receive(worker, message); });
    const lost = (error: UserError): void => {
      if (this.idle === worker) this.idle = undefined;
      this.fail(worker, error);
    };
    worker.on('error', (error) => { lost(new UserError(`The engine's process can't be started: ${messageOf(error)}`, { exitStatus: 1, cause: error })); });
    worker.on('exit', (code, signal) => { lost(lastWords(code, signal, stderr, this.busy.get(worker)?.type)); });
    return worker;
  }

  private receive(worker: ChildProcess, message: WorkerResponse): void {
    const pending = this.busy.get(worker);
    if (pending?.call !== message.call) return;
    switch (message.type) {
      case 'event': try { pending.onEvent?.(message.event); } catch (error) { console.error(error); } break; // a listener's fault must not end the run
      case 'done': pending.resolve(message.value); break;
      case 'failed': pending.reject(errorOf(message.message, message.exitStatus)); break;
      default: { const never: never = message; return never; }
    }
  }
}
