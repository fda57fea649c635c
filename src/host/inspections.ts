import { stat } from 'node:fs/promises';
import type { BenchmarkResult, DataPreview, GraphListing, Inspection } from '../engine/protocol.ts';
import type { CallOptions, Engine } from './engine.ts';

const idleMs = 60_000;

/** Answers about files, each kept until its file changes. */
class FileAnswers<T> {
  private readonly ask: (path: string) => Promise<T>;
  private readonly known = new Map<string, { readonly stamp: string; readonly answer: Promise<T> }>();

  constructor(ask: (path: string) => Promise<T>) { this.ask = ask; }

  async of(path: string): Promise<T> {
    const stamp = await stat(path).then(({ mtimeMs, size }) => `${mtimeMs} ${size}`, () => 'missing');
    const known = this.known.get(path);
    if (known?.stamp === stamp) return known.answer;
    const answer = this.ask(path);
    this.known.set(path, { stamp, answer });
    answer.catch(() => this.known.delete(path));
    return answer;
  }
}

/** Short questions to the engine, beside the runs: one worker that goes when it was idle for a minute. */
export class Inspections {
  private readonly createEngine: () => Engine;
  private engine: Engine | undefined;
  private busy = 0;
  private idle: NodeJS.Timeout | undefined;
  private readonly inspected = new FileAnswers((path) => this.ask((engine) => engine.inspect(path)));
  private readonly listed = new FileAnswers((path) => this.ask((engine) => engine.list(path)));

  constructor(createEngine: () => Engine) { this.createEngine = createEngine; }

  inspect(path: string): Promise<Inspection> { return this.inspected.of(path); }
  list(path: string): Promise<GraphListing> { return this.listed.of(path); }
  previewData(model: string, data: string, preprocess: string | undefined, options: CallOptions): Promise<DataPreview> { return this.ask((engine) => engine.previewData(model, data, preprocess, options)); }
  benchmark(model: string, against: string | undefined, options: CallOptions): Promise<BenchmarkResult> { return this.ask((engine) => engine.benchmark(model, against, options)); }
  exportPoint(runDir: string, episode: number, out: string, options: CallOptions): Promise<void> { return this.ask((engine) => engine.exportPoint(runDir, episode, out, options)); }

  dispose(): void {
    clearTimeout(this.idle);
    this.engine?.dispose();
    this.engine = undefined;
  }

  private async ask<T>(question: (engine: Engine) => Promise<T>): Promise<T> {
    clearTimeout(this.idle);
    this.engine ??= this.createEngine();
    this.busy++;
    try {
      return await question(this.engine);
    } finally {
      if (--this.busy === 0) this.idle = setTimeout(() => this.dispose(), idleMs);
    }
  }
}
