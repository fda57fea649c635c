import { realpath } from 'node:fs/promises';
import type { Inspections } from './inspections.ts';
import type { RunManager } from './runManager.ts';
import { readReport } from './runStore.ts';
import type { ModelChanges } from './sparsity.ts';

/** What the newest finished run of each model did to its layers. */
export class SparsityIndex {
  private readonly runs: RunManager;
  private readonly inspections: Inspections;
  private readonly known = new Map<string, Promise<ModelChanges | undefined>>();

  constructor(runs: RunManager, inspections: Inspections) {
    this.runs = runs;
    this.inspections = inspections;
    runs.on('ended', ({ record }) => this.known.delete(record.runId));
  }

  /** Changes of every compressed model, newest run first. */
  async all(): Promise<readonly ModelChanges[]> {
    const newest = new Map<string, string>();
    for (const { record } of this.runs.list()) if (record.status === 'done' && record.runDir && !newest.has(record.modelPath)) newest.set(record.modelPath, record.runId);
    const changes: ModelChanges[] = [];
    for (const runId of newest.values()) { // one after another: each may take a process of the engine
      const found = await this.changesOf(runId);
      if (found) changes.push(found);
    }
    return changes;
  }

  /** Changes of the model in this file, be it an original or a compressed one. */
  async of(path: string): Promise<ModelChanges | undefined> {
    const real = await realOf(path);
    for (const changes of await this.all()) if (await realOf(changes.modelPath) === real || await realOf(changes.outPath) === real) return changes;
    return undefined;
  }

  private changesOf(runId: string): Promise<ModelChanges | undefined> {
    let changes = this.known.get(runId);
    if (!changes) {
      changes = this.read(runId).catch(() => undefined); // a model that was moved away has no annotations
      this.known.set(runId, changes);
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

const realOf = (path: string) => realpath(path).catch(() => path);
