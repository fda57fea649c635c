import { describe, expect, it } from 'vitest';
import type { CompressRequest, RunEvent } from '../../../src/engine/protocol.ts';
import { RunManager } from '../../../src/host/runManager.ts';
import { RunStore } from '../../../src/host/runStore.ts';
import { TaskRun } from '../../../src/host/taskRun.ts';
import { temporaryFolder } from '../../support/files.ts';
import { MemoryMemento } from '../../support/memoryMemento.ts';
import { sampleReport } from '../../support/sampleReport.ts';
import { ScriptedEngine } from '../../support/scriptedEngine.ts';

const request: CompressRequest = { model: '/a.onnx', val: '/images', target: { metric: 'macs', value: 0.5 } }, folder = await temporaryFolder();
const turn = () => new Promise((resolve) => setImmediate(resolve));

describe('a run in a terminal', () => {
  const begin = () => {
    const engine = new ScriptedEngine(), runs = new RunManager({ store: new RunStore(new MemoryMemento(), folder), createEngine: engine.create });
    const open = (what = () => request) => {
      const said: (string | number)[] = [], run = new TaskRun(runs, { line: (text) => said.push(text), end: (exitStatus) => said.push(exitStatus) }, { progress: ({ stage }) => `stage ${stage}`, report: () => 'halved' });
      run.open(what);
      return { said, run };
    };
    return { engine, runs, open };
  };

  it('is told of until its end', async () => {
    const { engine, open } = begin(), { said } = open();
    await turn();
    const events: RunEvent[] = [{ type: 'stage', stage: 'search' }, { type: 'warning', message: 'few images' }, { type: 'result', out: '/o', plan: '/p', report: '/r', summary: sampleReport }];
    for (const event of events) engine.calls[0]!.say(event);
    engine.calls[0]!.done();
    await turn();
    expect(said).toEqual(['stage search', 'few images', 'halved', sampleReport.out, 0]);
    expect(open(() => { throw new Error('The task has no "val".'); }).said).toEqual(['The task has no "val".', 2]);
  });

  it('says that it waits, and stops on Ctrl-C while it waits and while it runs', async () => {
    const { engine, runs, open } = begin(), [first, second] = [open(), open()];
    await turn();
    expect([first.said, second.said]).toEqual([[], ['Waits until the run before it is done.']]);
    first.run.input('x');
    expect(runs.activeRun()?.record.status).toBe('running');
    second.run.input('\x03');
    await turn();
    expect(second.said.slice(1)).toEqual(['The run is stopped.', 1]);
    first.run.input('\x03');
    await expect.poll(() => first.said).toEqual(['The run is stopped.', 1]);
    expect(engine.calls.length).toBe(1);
  });
});
