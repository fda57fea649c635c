import { createHash } from 'node:crypto';
import { mkdtemp, mkdir, rm, symlink, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Inspection } from '../../../src/engine/protocol.ts';
import type { Engine } from '../../../src/host/engine.ts';
import { Inspections } from '../../../src/host/inspections.ts';
import { RunManager } from '../../../src/host/runManager.ts';
import { type RunRecord, RunStore } from '../../../src/host/runStore.ts';
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

  it('is told of the run that wrote the file, and of an original of the one that wrote last', async () => {
    const { runs, index } = await ofRuns([
      { name: 'resumed', keeps: 36, createdMs: 1, writtenSeconds: 300, wrote: 'resumed' }, { name: 'replaced', keeps: 12, createdMs: 2, writtenSeconds: 200, wrote: 'replaced' },
      { name: 'elsewhere', keeps: 24, createdMs: 3, writtenSeconds: 100, wrote: 'elsewhere', out: 'other.onnx' },
    ]);
    expect(runs.list().map(({ record }) => record.runId)).toEqual(['elsewhere', 'replaced', 'resumed']);
    const kept = async (name: string) => (await index.of(join(folder, name)))?.layers[0]!.channelsAfter;
    await writeFile(join(folder, 'net.onnx'), 'net');
    await writeFile(join(folder, 'out.onnx'), 'resumed');
    await writeFile(join(folder, 'other.onnx'), 'elsewhere');
    await symlink(join(folder, 'other.onnx'), join(folder, 'link.onnx'));
    expect([await kept('out.onnx'), await kept('other.onnx'), await kept('link.onnx'), await kept('net.onnx')]).toEqual([36, 24, 24, 36]);
    expect((await index.all()).map(({ layers }) => layers[0]!.channelsAfter)).toEqual([36]);
    await writeFile(join(folder, 'out.onnx'), 'by hand: of no run');
    expect(await kept('out.onnx')).toBeUndefined();
  });

  it('is asked for again where it could not be read', async () => {
    let reads = 0;
    const { index } = await ofRuns([{ name: 'run', keeps: 36, createdMs: 1, writtenSeconds: 100, wrote: 'x' }], () => { if (++reads === 1) throw new Error('the drive is away'); });
    expect([(await index.all()).length, (await index.all()).length, (await index.all()).length, reads]).toEqual([0, 1, 1, 2]);
  });

  interface Finished { readonly name: string; readonly keeps: number; readonly createdMs: number; readonly writtenSeconds: number; readonly wrote: string; readonly out?: string }
  /** Runs of net.onnx that are remembered as done. */
  async function ofRuns(finished: readonly Finished[], onInspect = (): void => undefined) {
    const memento = new MemoryMemento();
    await memento.update('autoCompress.runs', await Promise.all(finished.map(async ({ name, keeps, createdMs, writtenSeconds, wrote, out = 'out.onnx' }): Promise<RunRecord> => {
      const runDir = join(folder, name), written = { out: join(folder, out), outSha256: createHash('sha256').update(wrote).digest('hex') };
      await mkdir(runDir);
      await writeFile(join(runDir, 'report.json'), JSON.stringify({ ...sampleReport, ...written, layers: [{ ...sampleReport.layers[0]!, channelsAfter: keeps }] }));
      await utimes(join(runDir, 'report.json'), writtenSeconds, writtenSeconds);
      return { runId: name, modelPath: join(folder, 'net.onnx'), target: 'macs=0.5', createdMs, status: 'done', runDir, ...written, seconds: {} };
    })));
    const runs = new RunManager({ store: new RunStore(memento, join(folder, 'runs')), createEngine: () => { throw new Error('no run here'); } });
    const inspect = () => Promise.resolve().then(onInspect).then(() => ({ layers: [] as Inspection['layers'] }));
    return { runs, index: new SparsityIndex(runs, new Inspections({ inspect } as unknown as Engine)) };
  }
});
