import { mkdtemp, mkdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Inspection } from '../../../src/engine/protocol.ts';
import type { Engine } from '../../../src/host/engine.ts';
import { Inspections } from '../../../src/host/inspections.ts';
import { RunManager } from '../../../src/host/runManager.ts';
import { RunStore } from '../../../src/host/runStore.ts';
import { SparsityIndex } from '../../../src/host/sparsityIndex.ts';
import { MemoryMemento } from '../../support/memoryMemento.ts';
import { sampleReport } from '../../support/sampleReport.ts';

/** Takes a while for each model, and notes how many it had at once; one of them can't be read. */
class CountingEngine {
  private now = 0;
  most = 0;
  inspect = async (model: string): Promise<Inspection> => {
    this.most = Math.max(this.most, ++this.now);
    await new Promise((resolve) => setTimeout(resolve, 5));
    this.now--;
    if (model.endsWith('moved.onnx')) throw new Error('there is no such file');
    return { layers: [] as Inspection['layers'] } as Inspection;
  };
}

describe('what runs did to layers', () => {
  let folder: string;
  beforeEach(async () => { folder = await mkdtemp(join(tmpdir(), 'auto-compress-index-')); });
  afterEach(() => rm(folder, { recursive: true, force: true, maxRetries: 3 }));

  it('is found with one question to the engine at a time, however many models were compressed', async () => {
    const engine = new CountingEngine(), names = ['a', 'moved', 'b', 'c'];
    const runs = new RunManager({ store: new RunStore(new MemoryMemento(), join(folder, 'runs')), createEngine: () => { throw new Error('no run here'); } });
    for (const name of names) {
      await mkdir(join(folder, name));
      await writeFile(join(folder, name, 'report.json'), JSON.stringify({ ...sampleReport, model: { ...sampleReport.model, path: `/${name}.onnx` } }));
    }
    await runs.adopt(names.map((name) => join(folder, name)));
    const index = new SparsityIndex(runs, new Inspections(engine as unknown as Engine));
    const [all] = await Promise.all([index.all(), index.of('/c.onnx')]); // hints and hovers ask at the same time
    expect(all.map(({ modelPath }) => modelPath).sort()).toEqual(['/a.onnx', '/b.onnx', '/c.onnx']);
    expect(engine.most).toBe(1);
  });
});
