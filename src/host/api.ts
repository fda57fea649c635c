import type { CompressRequest, Inspection, Report, RunEvent } from '../engine/protocol.ts';
import type { Inspections } from './inspections.ts';
import type { Run, RunManager } from './runManager.ts';

/** What `vscode.extensions.getExtension('auto-compress.auto-compress').activate()` returns, for other extensions. */
export interface AutoCompressApi {
  readonly version: 1;
  /** What a model holds: cost, layers, what can be pruned. Rejects with a message for people. */
  inspect(modelPath: string): Promise<Inspection>;
  /** Compresses a model as one of the window's runs (visible, stoppable) and resolves with its report. */
  compress(request: CompressRequest, onEvent?: (event: RunEvent) => void): Promise<Report>;
  /** The runs of this workspace, newest first. */
  runs(): readonly { readonly runId: string; readonly modelPath: string; readonly status: string; readonly out?: string }[];
}

export function createApi(runs: RunManager, inspections: Inspections): AutoCompressApi {
  return {
    version: 1,
    inspect: (modelPath) => inspections.inspect(modelPath),
    compress: async (request, onEvent) => {
      const run = runs.start(request);
      const forward = (changed: Run, event: RunEvent) => { if (changed === run) onEvent?.(event); };
      runs.on('event', forward);
      try { return await runs.finished(run.record.runId); } finally { runs.off('event', forward); }
    },
    runs: () => runs.list().map(({ record: { runId, modelPath, status, out } }) => ({ runId, modelPath, status, ...(out === undefined ? {} : { out }) })),
  };
}
