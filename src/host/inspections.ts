import { stat } from 'node:fs/promises';
import { CancelledError } from '../engine/errors.ts';
import type { BenchmarkResult, DataPreview, GraphListing, Inspection, PreviewOptions } from '../engine/protocol.ts';
import type { CallOptions, Engine } from './engine.ts';

interface KnownAnswer<T> { readonly stamp: string; readonly answer: Promise<T>; readonly abort: AbortController; /** How many wait for it. */ waiting: number }

/** Answers about files, each kept until its file changes. Who asks may stop waiting; the engine stops when nobody waits any more. */
class FileAnswers<T> {
  private readonly ask: (path: string, options: CallOptions) => Promise<T>;
  private readonly known = new Map<string, KnownAnswer<T>>();

  constructor(ask: (path: string, options: CallOptions) => Promise<T>) { this.ask = ask; }

  async of(path: string, { signal }: CallOptions = {}): Promise<T> {
    const stamp = await stat(path).then(({ mtimeMs, size }) => `${mtimeMs} ${size}`, () => 'missing');
    if (signal?.aborted) throw new CancelledError();
    const found = this.known.get(path), known = found?.stamp === stamp ? found : this.start(path, stamp);
    known.waiting++;
    if (!signal) return known.answer;
    return new Promise((resolve, reject) => {
      const leave = () => {
        if (--known.waiting === 0) this.giveUp(path, known);
        reject(new CancelledError());
      };
      signal.addEventListener('abort', leave, { once: true });
      known.answer.then(resolve, reject).finally(() => signal.removeEventListener('abort', leave));
    });
  }

  private start(path: string, stamp: string): KnownAnswer<T> {
    const abort = new AbortController(), known: KnownAnswer<T> = { stamp, abort, answer: this.ask(path, { signal: abort.signal }), waiting: 0 };
    this.known.set(path, known);
    known.answer.catch(() => this.forget(path, known));
    return known;
  }

  private giveUp(path: string, known: KnownAnswer<T>): void { this.forget(path, known); known.abort.abort(); }
  private forget(path: string, known: KnownAnswer<T>): void { if (this.known.get(path) === known) this.known.delete(path); }
}

/** Short questions to the engine, beside the runs. */
export class Inspections {
  private readonly engine: Engine;
  private readonly inspected = new FileAnswers((path, options) => this.engine.inspect(path, options));
  private readonly listed = new FileAnswers((path, options) => this.engine.list(path, options));

  constructor(engine: Engine) { this.engine = engine; }

  inspect(path: string, options?: CallOptions): Promise<Inspection> { return this.inspected.of(path, options); }
  list(path: string, options?: CallOptions): Promise<GraphListing> { return this.listed.of(path, options); }
  previewData(model: string, data: string, how: PreviewOptions, options: CallOptions): Promise<DataPreview> { return this.engine.previewData(model, data, how, options); }
  benchmark(model: string, against: string | undefined, options: CallOptions): Promise<BenchmarkResult> { return this.engine.benchmark(model, against, options); }
  exportPoint(runDir: string, episode: number, out: string, options: CallOptions): Promise<void> { return this.engine.exportPoint(runDir, episode, out, options); }

  dispose(): void { this.engine.dispose(); }
}
