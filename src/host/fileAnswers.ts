import { stat } from 'node:fs/promises';
import { CancelledError } from '../engine/errors.ts';
import type { CallOptions } from './engine.ts';

interface KnownAnswer<T> { readonly stamp: string; readonly answer: Promise<T>; readonly abort: AbortController; /** How many wait for it. */ waiting: number }

/** Answers about files, each kept until its file changes. Who asks may stop waiting; the engine stops when nobody waits any more. */
export class FileAnswers<T> {
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
