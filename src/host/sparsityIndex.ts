import { FileAnswers } from './fileAnswers.ts';
import type { Inspections } from './inspections.ts';
import type { Run, RunManager } from './runManager.ts';
import { readReport, reportMs } from './runStore.ts';
import type { ModelChanges } from './sparsity.ts';
import { sha256Of, whereReal, writersOf } from './writers.ts';

/** What finished runs did to the layers of their models. */
export class SparsityIndex {
  private readonly runs: RunManager;
  private readonly inspections: Inspections;
  private readonly known = new Map<string, Promise<ModelChanges | undefined>>();
  /** Reports are read one after another: each may take a process of the engine. */
  private reading: Promise<unknown> = Promise.resolve();
  private readonly hashes = new FileAnswers(sha256Of);

  constructor(runs: RunManager, inspections: Inspections) {
    this.runs = runs;
    this.inspections = inspections;
    runs.on('ended', ({ record }) => this.known.delete(record.runId));
  }

  /** Changes of every compressed model: those of the run that wrote last. */
  async all(): Promise<readonly ModelChanges[]> {
    const last = new Map<string, Run>();
    for (const run of await this.lastFirst(this.finished())) if (!last.has(run.record.modelPath)) last.set(run.record.modelPath, run);
    return (await Promise.all([...last.values()].map((run) => this.changesOf(run)))).filter((found) => found !== undefined);
  }

  /** Changes of the model in this file: of a compressed one by the run that wrote it, of an original by the one that wrote last. */
  async of(path: string): Promise<ModelChanges | undefined> {
    const finished = this.finished(), writers = await writersOf(path, finished, (file) => this.hashes.of(file));
    const [run] = await this.lastFirst(writers.length > 0 ? writers : await whereReal(path, finished, ({ record }) => record.modelPath));
    return run && this.changesOf(run);
  }

  private finished(): readonly Run[] { return this.runs.list().filter(({ record }) => record.status === 'done' && record.runDir !== undefined); }

  /** By when they wrote: a run that was resumed may have done so after one that was made later. */
  private async lastFirst(runs: readonly Run[]): Promise<readonly Run[]> {
    const timed = await Promise.all(runs.map(async (run) => ({ run, ms: await reportMs(run.record.runDir!) })));
    return timed.sort((a, b) => b.ms - a.ms).map(({ run }) => run);
  }

  private changesOf({ record: { runId } }: Run): Promise<ModelChanges | undefined> {
    let changes = this.known.get(runId);
    if (!changes) {
      changes = this.reading.then(() => this.read(runId)).catch(() => undefined); // a model that was moved away has no annotations
      this.reading = changes;
      this.known.set(runId, changes);
      void changes.then((found) => { if (!found) this.known.delete(runId); }); // until it is back
    }
    return changes;
  }

  private async read(runId: string): Promise<ModelChanges | undefined> {
    const { record } = this.runs.get(runId)!;
    const report = await readReport(record.runDir!);
    if (!report) return undefined;
    const { layers } = await this.inspections.inspect(record.modelPath);
    const byName = new Map(layers.map((layer) => [layer.name, layer]));
    return {
      modelPath: record.modelPath, outPath: report.out,
      layers: report.layers.map((layer) => ({ ...layer, weight: byName.get(layer.name)?.weight ?? '', weightShape: byName.get(layer.name)?.weightShape ?? [] })),
    };
  }
}
