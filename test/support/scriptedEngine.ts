import { CancelledError } from '../../src/engine/errors.ts';
import type { Report, RunEvent } from '../../src/engine/protocol.ts';
import type { CallOptions, Engine } from '../../src/host/engine.ts';
import { sampleReport } from './sampleReport.ts';

/** One call of a run, to be answered by the test. */
interface Call { readonly kind: 'compress' | 'resume'; readonly argument: unknown; say(event: RunEvent): void; done(): void; fail(error: Error): void }

/** An engine that does what the test says: what is under test is how its answers are handled. */
export class ScriptedEngine {
  readonly calls: Call[] = [];
  private call(kind: Call['kind'], argument: unknown, { onEvent, signal }: CallOptions = {}): Promise<Report> {
    return new Promise((resolve, reject) => {
      signal?.addEventListener('abort', () => reject(new CancelledError()));
      this.calls.push({ kind, argument, say: (event) => onEvent?.(event), done: () => resolve(sampleReport), fail: reject });
    });
  }
  create = (): Engine => ({
    compress: (request, options) => this.call('compress', request, options), resume: (runDir, options) => this.call('resume', runDir, options),
    inspect: () => Promise.reject(new Error()), list: () => Promise.reject(new Error()), previewData: () => Promise.reject(new Error()), exportPoint: () => Promise.reject(new Error()), benchmark: () => Promise.reject(new Error()), dispose: () => undefined,
  });
}
