/** The engine's process: takes requests from the extension host, answers with events and one result each. */
import { z } from 'zod';
import { CancelledError, InputError, messageOf, UserError } from './errors.ts';
import { given } from './given.ts';
import { operations } from './operations.ts';
import { compressOptionsSchema, type RunEvent, type WorkerRequest, type WorkerResponse } from './protocol.ts';

const call = z.int().min(0), path = z.string().min(1);
const requestSchema = z.discriminatedUnion('type', [
  z.object({ type: z.literal('compress'), call, options: z.record(z.string(), z.unknown()) }),
  z.object({ type: z.literal('resume'), call, runDir: path }),
  z.object({ type: z.literal('inspect'), call, model: path }),
  z.object({ type: z.literal('list'), call, model: path }),
  z.object({ type: z.literal('previewData'), call, model: path, data: path, how: compressOptionsSchema.pick({ metric: true, preprocess: true, threads: true }) }),
  z.object({ type: z.literal('prune'), call, model: path, plan: path.optional(), preserve: z.number().optional(), calibration: path.optional(), out: path }),
  z.object({ type: z.literal('benchmark'), call, model: path, against: path.optional() }),
  z.object({ type: z.literal('export'), call, runDir: path, episode: z.int(), out: path }),
  z.object({ type: z.literal('cancel'), call }),
]);
type Request = Exclude<z.output<typeof requestSchema>, { type: 'cancel' }>;

function answer(request: Request, context: { emit(event: RunEvent): void; signal: AbortSignal }): Promise<unknown> {
  const { signal } = context;
  switch (request.type) {
    case 'compress': return operations.compress(request.options, context);
    case 'resume': return operations.resume(request.runDir, context);
    case 'inspect': return operations.inspect(request.model);
    case 'list': return operations.list(request.model);
    case 'previewData': return operations.previewData(request.model, request.data, { ...given(request.how), signal });
    case 'prune': return operations.prune(given({ model: request.model, plan: request.plan, preserve: request.preserve, calibration: request.calibration, out: request.out, signal }));
    case 'benchmark': return operations.benchmark(request.model, request.against, { signal });
    case 'export': return operations.exportCandidate(request.runDir, request.episode, request.out, context);
    default: { const never: never = request; return never; }
  }
}

/** Nothing may be lost silently when the parent is gone: then there is nobody to work for. */
const send = (response: WorkerResponse): void => { if (process.connected) process.send?.(response); };
const running = new Map<number, AbortController>();

async function handle(request: Request): Promise<void> {
  const controller = new AbortController();
  running.set(request.call, controller);
  try {
    const value = await answer(request, { signal: controller.signal, emit: (event) => { send({ type: 'event', call: request.call, event }); } });
    send({ type: 'done', call: request.call, value });
  } catch (error) {
    const cancelled = controller.signal.aborted && (error instanceof CancelledError || (error instanceof Error && error.name === 'AbortError'));
    const exitStatus = cancelled ? 130 : error instanceof UserError ? error.exitStatus : 1;
    if (exitStatus === 1) console.error(error);
    send({ type: 'failed', call: request.call, message: cancelled ? 'Cancelled.' : messageOf(error), exitStatus });
  } finally {
    running.delete(request.call);
  }
}

process.on('message', (message: unknown) => {
  const parsed = requestSchema.safeParse(message);
  if (!parsed.success) {
    const issue = parsed.error.issues[0]!, { call: id } = (typeof message === 'object' && message !== null ? message : {}) as Partial<WorkerRequest>;
    send({ type: 'failed', call: typeof id === 'number' ? id : -1, message: new InputError(`The engine got a request that it does not understand ("${issue.path.join('.')}": ${issue.message}).`).message, exitStatus: 2 });
  } else if (parsed.data.type === 'cancel') running.get(parsed.data.call)?.abort(new CancelledError());
  else void handle(parsed.data);
});
process.on('disconnect', () => process.kill(process.pid, 'SIGKILL')); // not exit, which would abort a thread in the middle of a run
