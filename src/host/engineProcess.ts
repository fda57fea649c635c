import { fork } from 'node:child_process';
import { CancelledError, UserError } from '../engine/errors.ts';
import type { WorkerRequest, WorkerResponse } from '../engine/protocol.ts';
import type { CallOptions, Engine } from './engine.ts';
type Body = WorkerRequest extends infer R ? R extends { call: number } ? Omit<R, 'call'> : never : never;
export function createEngine(workerPath: string): Engine {
  const child = fork(workerPath, [], { execPath: process.execPath, execArgv: [], env: { ...process.env, ELECTRON_RUN_AS_NODE: '1' }, serialization: 'advanced', stdio: ['ignore', 'pipe', 'pipe', 'ipc'] });
  const pending = new Map<number, { resolve: (v: unknown) => void; reject: (e: Error) => void; options: CallOptions }>();
  let n = 0;
  child.on('message', (m: WorkerResponse) => {
    const p = pending.get(m.call);
    if (!p) return;
    if (m.type === 'event') { p.options.onEvent?.(m.event); return; }
    pending.delete(m.call);
    if (m.type === 'done') p.resolve(m.value); else p.reject(m.exitStatus === 130 ? new CancelledError() : new UserError(m.message));
  });
  child.on('exit', (code, signal) => { for (const p of pending.values()) p.reject(new Error(`exit ${signal ?? code}`)); pending.clear(); });
  const ask = (body: Body, options: CallOptions = {}) => new Promise<never>((resolve, reject) => {
    const call = ++n;
    pending.set(call, { resolve: resolve as (v: unknown) => void, reject, options });
    options.signal?.addEventListener('abort', () => child.send({ type: 'cancel', call }));
    child.send({ ...body, call });
  });
  return {
    inspect: (model, o) => ask({ type: 'inspect', model }, o), previewData: (model, data, preprocess, o) => ask({ type: 'previewData', model, data, ...(preprocess ? { preprocess } : {}) }, o),
    compress: (options, o) => ask({ type: 'compress', options }, o), resume: (runDir, o) => ask({ type: 'resume', runDir }, o),
    exportPoint: (runDir, episode, out, o) => ask({ type: 'export', runDir, episode, out }, o), benchmark: (model, against, o) => ask({ type: 'benchmark', model, ...(against ? { against } : {}) }, o),
    dispose: () => child.kill(),
  };
}
