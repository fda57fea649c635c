import { createRequire } from 'node:module';
import type * as threads from 'node:worker_threads';
import { Worker } from 'node:worker_threads';
import type * as onnxruntime from 'onnxruntime-node';
import type { GraphProto, ModelProto } from 'onnx-buf';
import { InputError } from '../errors.ts';
import { type Tensor, loadFailure, runFailure, sessionArguments } from './session.ts';

type Tensors = Readonly<Record<string, Tensor>>;
/** What a thread is to run: tensors it may read, and where it knows them, those it is to write. Their memory goes to the thread, and comes back with its answer to be used again: new memory in every step would be as slow as the copy. */
interface Task { readonly feeds: Tensors; readonly outputs?: Tensors }
type Answer = { readonly feeds: Tensors; readonly results: Record<string, Tensor> } | { readonly failure: string };

/**
 * What a thread does: it loads the model, says so, and runs it on every message until it is told to release it. It goes to the thread as text, since a
 * bundle has no file for it, and so can use nothing else from here. onnxruntime aborts the process when a thread is terminated while it loads or runs: threads end by themselves.
 */
async function serve(load: NodeJS.Require): Promise<void> {
  const { parentPort, workerData } = load('node:worker_threads') as typeof threads;
  const { runtime, model } = workerData as { runtime: string; model: ReturnType<typeof sessionArguments> };
  const { InferenceSession, Tensor: OrtTensor } = load(runtime) as typeof onnxruntime;
  const failed = (error: unknown): void => { parentPort!.postMessage({ failure: error instanceof Error ? error.message : String(error) }); };
  try {
    const session = await InferenceSession.create(...model);
    const toOrt = (tensors: Tensors): Record<string, onnxruntime.Tensor> => Object.fromEntries(Object.entries(tensors).map(([name, { type, data, dims }]) => [name, new OrtTensor(type as 'float32', data as Float32Array, dims)]));
    parentPort!.on('message', (task: Task | 'release') => {
      if (task === 'release') { void session.release().finally(() => { parentPort!.close(); }); return; }
      const { feeds, outputs } = task;
      session.run(toOrt(feeds), outputs ? toOrt(outputs) : session.outputNames).then((values) => {
        const results = outputs ?? Object.fromEntries(Object.entries(values).map(([name, value]) => [name, { type: value.type, dims: value.dims, data: (value.data as Float32Array).slice() }]));
        parentPort!.postMessage({ feeds, results }, [...Object.values(feeds), ...Object.values(results)].map(({ data }) => data.buffer as ArrayBuffer));
      }, failed);
    });
    parentPort!.postMessage({ feeds: {}, results: {} });
  } catch (error) {
    failed(error);
    parentPort!.close();
  }
}

/** What threads are in the middle of. */
const underWay = new Set<Promise<unknown>>();
/** Resolves when no thread loads, runs or releases a model any more: to leave the process before would abort it. */
export const threadsAtRest = async (): Promise<void> => { await Promise.allSettled(underWay); };

/** What all threads come to, one by one. @throws the first failure, when all are done */
async function allDone<T>(work: readonly Promise<T>[]): Promise<T[]> {
  const all = Promise.allSettled(work);
  underWay.add(all);
  const outcomes = await all;
  underWay.delete(all);
  return outcomes.map((outcome) => { if (outcome.status === 'rejected') throw outcome.reason; return outcome.value; });
}

/** One model on several threads of this process, each with one thread inside its operators: parts of a batch run at the same time. */
export class ParallelSession {
  private readonly threads: readonly Worker[];
  /** Each thread's last answer, whose memory the next run uses. */
  private readonly memory: ({ readonly feeds: Tensors; readonly results?: Record<string, Tensor> } | undefined)[] = [];
  private constructor(threads: readonly Worker[]) { this.threads = threads; }

  /**
   * Loads a model once a thread.
   * @throws {InputError} with onnxruntime's message when it refuses the model
   */
  static async create(model: ModelProto & { graph: GraphProto }, count: number): Promise<ParallelSession> {
    const workerData = { runtime: createRequire(import.meta.url).resolve('onnxruntime-node'), model: sessionArguments(model, { threads: 1 }) };
    const session = new ParallelSession(Array.from({ length: count }, () => new Worker(`(${serve.toString()})(require)`, { eval: true, workerData })));
    try {
      await allDone(session.threads.map((thread) => answerOf(thread, loadFailure)));
      return session;
    } catch (error) {
      await session.release();
      throw error;
    }
  }

  get count(): number { return this.threads.length; }

  /**
   * Runs the model on each part at the same time.
   * @param parts feeds of each thread, as many as there are threads; they are copied
   * @returns what each thread found, which must be read before the next run: that writes to the same memory
   * @throws {InputError} with onnxruntime's message
   */
  run(parts: readonly Tensors[]): Promise<Record<string, Tensor>[]> {
    return allDone(this.threads.map(async (thread, i) => {
      const { feeds: before = {}, results } = this.memory[i] ?? {}, feeds = Object.fromEntries(Object.entries(parts[i]!).map(([name, tensor]) => [name, copied(tensor, before[name])]));
      const outputs = Object.entries(feeds).every(([name, { dims }]) => before[name]?.dims.join() === dims.join()) ? results : undefined; // of other feeds they may have other shapes
      this.memory[i] = undefined;
      thread.postMessage({ feeds, ...(outputs ? { outputs } : {}) } satisfies Task, [...Object.values(feeds), ...Object.values(outputs ?? {})].map(({ data }) => data.buffer as ArrayBuffer));
      const answer = await answerOf(thread, runFailure);
      this.memory[i] = answer;
      return answer.results;
    }));
  }

  /** Ends the threads; those that failed to load have ended by themselves. */
  async release(): Promise<void> {
    await allDone(this.threads.map((thread) => new Promise<void>((resolve) => {
      if (thread.threadId < 0) { resolve(); return; } // has ended
      thread.once('exit', () => { resolve(); });
      thread.postMessage('release');
    })));
  }
}

/** A tensor's copy, in the memory of one of the same kind and size where there is one. */
function copied({ type, dims, data }: Tensor, memory: Tensor | undefined): Tensor {
  if (memory?.type !== type || memory.data.length !== data.length) return { type, dims, data: data.slice() };
  (memory.data as Float32Array).set(data as Float32Array);
  return { type, dims, data: memory.data };
}

/** What a thread says next. */
function answerOf(thread: Worker, failing: string): Promise<Exclude<Answer, { failure: string }>> {
  return new Promise((resolve, reject) => {
    const done = (): void => { thread.off('message', answered); thread.off('error', broke); };
    const answered = (answer: Answer): void => { done(); if ('failure' in answer) reject(new InputError(`${failing}: ${answer.failure}`)); else resolve(answer); };
    const broke = (error: Error): void => { done(); reject(new InputError(`${failing}: ${error.message}`, { cause: error })); };
    thread.on('message', answered);
    thread.on('error', broke);
  });
}
