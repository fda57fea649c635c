import { createHash } from 'node:crypto';
import { mkdtemp, readdir, readFile, rename, rm, symlink, utimes, writeFile, mkdir, appendFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { InputError, UserError } from '../../../src/engine/errors.ts';
import type { CompressRequest, RunEvent } from '../../../src/engine/protocol.ts';
import { takeLock } from '../../../src/engine/run/lock.ts';
import { type Run, RunManager, isResumable } from '../../../src/host/runManager.ts';
import { RunStore } from '../../../src/host/runStore.ts';
import { writersOf } from '../../../src/host/writers.ts';
import type { RunStatus } from '../../../src/webview/client/state.ts';
import { writeTree } from '../../support/files.ts';
import { MemoryMemento } from '../../support/memoryMemento.ts';
import { candidate, sampleReport } from '../../support/sampleReport.ts';
import { ScriptedEngine } from '../../support/scriptedEngine.ts';

const request = (model: string): CompressRequest => ({ model, val: '/images', target: { metric: 'macs', value: 0.5 } });
const startedIn = (runDir: string): RunEvent => ({ type: 'run', runDir, out: '/out.onnx', resumed: false });
const episode = (number: number): RunEvent => ({ type: 'episode', candidate: candidate(number, 0.5, 0.9), best: true, bestAccuracy: 0.9, episodes: 10, seconds: 1, secondsLeft: 9, images: 500 });
const result: RunEvent = { type: 'result', out: '/out.onnx', plan: '/run/plan.json', report: '/run/report.json', summary: sampleReport };
/** Files are looked at before a run begins again and after it failed. */
const settled = (run: Run, status: RunStatus) => expect.poll(() => run.record.status).toBe(status);
const turn = () => new Promise((resolve) => setImmediate(resolve));

describe('RunManager', () => {
  let folder: string, runDir: string, started: RunEvent, memento: MemoryMemento, engine: ScriptedEngine, manager: RunManager;
  const createManager = () => new RunManager({ store: new RunStore(memento, join(folder, 'runs')), createEngine: engine.create });
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'auto-compress-runs-'));
    runDir = join(folder, 'run');
    await mkdir(runDir);
    started = startedIn(runDir);
    memento = new MemoryMemento();
    engine = new ScriptedEngine();
    manager = createManager();
  });
  afterEach(async () => { manager.dispose(); await turn(); await rm(folder, { recursive: true, force: true, maxRetries: 3 }); });

  it('runs one model at a time, in order', async () => {
    const [first, second] = [manager.start(request('/a.onnx')), manager.start(request('/b.onnx'))];
    await turn();
    expect([first.record.status, second.record.status, engine.calls.length]).toEqual(['running', 'queued', 1]);
    engine.calls[0]!.say(started);
    engine.calls[0]!.say(result);
    engine.calls[0]!.done();
    await turn();
    expect([first.record.status, second.record.status, engine.calls.length]).toEqual(['done', 'running', 2]);
    expect(first.record.outcome?.macsRatio).toBe(2);
  });

  it('stops a running and a waiting run, and resumes from the run folder', async () => {
    const [first, second] = [manager.start(request('/a.onnx')), manager.start(request('/b.onnx'))];
    await turn();
    engine.calls[0]!.say(started);
    await manager.stop(second.record.runId);
    await manager.stop(first.record.runId);
    expect([first.record.status, second.record.status]).toEqual(['stopped', 'stopped']);
    await manager.resume(first.record.runId);
    await expect.poll(() => engine.calls[1]).toMatchObject({ kind: 'resume', argument: runDir });
    await manager.resume(second.record.runId);
    await manager.stop(first.record.runId);
    await turn();
    expect(engine.calls[2], 'it never began, so it starts from its options').toMatchObject({ kind: 'compress', argument: { model: '/b.onnx' } });
  });

  it('begins anew where wrong input left no folder', async () => {
    const run = manager.start(request('/a.onnx'));
    await turn();
    engine.calls[0]!.say(started);
    await rm(runDir, { recursive: true }); // as the engine does after wrong input
    engine.calls[0]!.fail(new InputError('The images can\'t be read.'));
    await settled(run, 'failed');
    expect(run.record).toMatchObject({ problem: 'The images can\'t be read.' });
    expect(run.record.runDir).toBeUndefined();
    expect(isResumable(run.record)).toBe(true);
    await manager.resume(run.record.runId);
    await turn();
    expect(engine.calls[1]).toMatchObject({ kind: 'compress', argument: { model: '/a.onnx' } });
  });

  it('keeps a folder with a search in mind while it is away, and begins anew only if it still is', async () => {
    const run = manager.start(request('/a.onnx')), away = `${runDir} in the trash`;
    await turn();
    engine.calls[0]!.say(started);
    engine.calls[0]!.say(episode(1));
    await rename(runDir, away);
    engine.calls[0]!.fail(new InputError('Restore the folder, then resume.'));
    await settled(run, 'failed');
    await manager.resume(run.record.runId);
    await expect.poll(() => engine.calls[1]).toMatchObject({ kind: 'compress' });
    engine.calls[1]!.fail(new InputError('The model is away too.'));
    await settled(run, 'failed');
    await rename(away, runDir);
    await manager.resume(run.record.runId);
    await expect.poll(() => engine.calls[2]).toMatchObject({ kind: 'resume', argument: runDir });
    await manager.stop(run.record.runId);
    await rm(runDir, { recursive: true });
    await manager.resume(run.record.runId);
    await expect.poll(() => engine.calls[3]).toMatchObject({ kind: 'compress' });
    engine.calls[3]!.say(startedIn('/another'));
    expect([run.record.runDir, run.view.candidates]).toEqual(['/another', []]);
  });

  it('offers to resume what ended early and can be carried on, from its folder or its options', () => {
    const record = (status: RunStatus, more: object = {}) => isResumable({ runId: '1', modelPath: '/a.onnx', target: 'macs=0.5', createdMs: 0, seconds: {}, status, ...more });
    for (const status of ['stopped', 'interrupted', 'crashed', 'failed'] as const) expect([record(status), record(status, { runDir: '/run' }), record(status, { request: request('/a.onnx') })], status).toEqual([false, true, true]);
    for (const status of ['queued', 'running', 'stopping', 'done'] as const) expect(record(status, { runDir: '/run', request: request('/a.onnx') }), status).toBe(false);
  });

  it.each<[string, Error, string]>([
    ['refused by the engine', new InputError('Option "episodes": too many.'), 'failed'],
    ['whose process died', new UserError("The engine's process was killed.", { exitStatus: 1 }), 'crashed'],
    ['that failed in a way nobody foresaw', new TypeError('x is not a function'), 'crashed'],
  ])('says what happened to a run %s, and goes on with the next', async (_title, error, status) => {
    const [run, next] = [manager.start(request('/a.onnx')), manager.start(request('/b.onnx'))];
    await turn();
    engine.calls[0]!.fail(error);
    await turn();
    expect(run.record).toMatchObject({ status, problem: error.message });
    expect(next.record.status).toBe('running');
  });

  it('tells who waits for a run how it ended', async () => {
    const finished = manager.finished(manager.start(request('/a.onnx')).record.runId);
    await turn();
    engine.calls[0]!.say(result);
    engine.calls[0]!.done();
    await expect(finished).resolves.toBe(sampleReport);
    const failed = manager.finished(manager.start(request('/b.onnx')).record.runId);
    await turn();
    engine.calls[1]!.fail(new InputError('No such file.'));
    await expect(failed).rejects.toThrow('No such file.');
  });

  it('knows a run that its window left behind, with its history', async () => {
    const { record: { runId } } = manager.start(request('/a.onnx'));
    await turn();
    for (const event of [started, episode(1), episode(2)]) engine.calls[0]!.say(event);
    await turn();
    const store = new RunStore(memento, join(folder, 'runs'));
    await manager.load(runId);
    const again = new RunManager({ store, createEngine: engine.create });
    expect(again.get(runId)?.record).toMatchObject({ status: 'interrupted', runDir });
    expect(again.cutShort.map(({ record }) => record.runId)).toEqual([runId]);
    expect(new RunManager({ store, createEngine: engine.create }).cutShort, 'told once, not at every start').toEqual([]);
    await expect.poll(async () => (await store.loadView(again.get(runId)!.record)).candidates.length).toBe(2);
    await appendFile(join(folder, 'runs', `${runId}.ndjson`), '{"type":"episo'); // cut by a crash
    expect((await again.load(runId))?.view.candidates.map((found) => found.episode)).toEqual([1, 2]);
  });

  it('offers what was cut short in the order in which it was to run, whatever ran first when it was resumed', async () => {
    let ms = 0;
    const withClock = () => new RunManager({ store: new RunStore(memento, join(folder, 'runs')), createEngine: engine.create, now: () => ++ms });
    const before = withClock(), [, , late] = ['/a.onnx', '/b.onnx', '/c.onnx'].map((model) => before.start(request(model)));
    await turn();
    const models = (runs: RunManager) => runs.cutShort.map(({ record }) => record.modelPath);
    expect(models(withClock())).toEqual(['/a.onnx', '/b.onnx', '/c.onnx']);
    const again = withClock();
    for (const { record } of [late!, ...again.list().filter(({ record }) => record.runId !== late!.record.runId).reverse()]) await again.resume(record.runId);
    await turn();
    const last = withClock();
    expect(models(last)).toEqual(['/c.onnx', '/a.onnx', '/b.onnx']);
    for (const { record } of last.cutShort) await last.resume(record.runId);
    await turn();
    expect(engine.calls.at(-1)!.argument).toMatchObject({ model: '/c.onnx' });
    for (const runs of [before, again, last]) runs.dispose();
  });

  it('takes over its histories from where the workspace had them for itself, and goes on in them', async () => {
    const { record: { runId } } = manager.start(request('/a.onnx')), [former, common] = [join(folder, 'runs'), join(folder, 'common')];
    await turn();
    for (const event of [started, episode(1)]) engine.calls[0]!.say(event);
    await manager.stop(runId);
    await expect.poll(() => readFile(join(former, `${runId}.ndjson`), 'utf8')).toContain('episode');
    await writeTree(former, { 'unknown.ndjson': '' });
    const store = new RunStore(memento, common, former), again = new RunManager({ store, createEngine: engine.create });
    await store.append(runId, episode(2));
    expect((await again.load(runId))?.view.candidates.length).toBe(2);
    expect([await readdir(former), await readdir(common)]).toEqual([['unknown.ndjson'], [`${runId}.ndjson`]]);
    await writeTree(former, { [`${runId}.ndjson`]: '' });
    expect((await new RunStore(memento, common, former).loadView(again.get(runId)!.record)).candidates.length).toBe(2);
  });

  it('takes in finished runs of the command line, once', async () => {
    const runDir = join(folder, 'model', 'run');
    await mkdir(runDir, { recursive: true });
    await writeFile(join(runDir, 'report.json'), JSON.stringify(sampleReport));
    await utimes(join(runDir, 'report.json'), 5, 5);
    await Promise.all([manager.adopt([runDir, join(folder, 'empty')]), manager.adopt([runDir])]);
    await manager.adopt([runDir]);
    const [run, ...more] = manager.list();
    expect(more).toEqual([]);
    expect(run!.record.createdMs).toBe(5000); // so that it takes its place among the others
    expect((await manager.load(run!.record.runId))?.view).toMatchObject({ report: sampleReport, bestEpisode: 2, baselines: [{ policy: 'uniform' }] });
    await writeFile(join(runDir, 'report.json'), JSON.stringify({ ...sampleReport, writtenEpisode: 1 }));
    expect((await createManager().load(run!.record.runId))?.view.bestEpisode).toBe(1); // not always the one that scored best
  });

  it('knows that a run which ended early here was finished by the command line, wherever its folder is, now and after a restart', async () => {
    const { record: { runId } } = manager.start(request('/a.onnx')), history = () => readFile(join(folder, 'runs', `${runId}.ndjson`), 'utf8');
    await turn();
    for (const event of [started, episode(1)]) engine.calls[0]!.say(event);
    engine.calls[0]!.fail(new UserError('killed', { exitStatus: 1 }));
    await settled(manager.get(runId)!, 'crashed');
    await expect.poll(history).toContain('episode');
    manager = createManager(); // in which nothing of it is read yet
    await manager.adopt([runDir]);
    expect(manager.get(runId)?.record.status, 'without a report').toBe('crashed');
    await writeFile(join(runDir, 'report.json'), JSON.stringify(sampleReport));
    for (const runDirs of [[], [runDir]]) await manager.adopt(runDirs);
    expect(manager.list().map(({ record: { status, problem, out, outcome } }) => [status, problem, out, outcome?.macsRatio])).toEqual([['done', undefined, sampleReport.out, 2]]);
    await manager.load(runId);
    for (const run of [manager.get(runId), await createManager().load(runId)]) expect(run).toMatchObject({ record: { status: 'done' }, view: { runDir, report: sampleReport, candidates: [{ episode: 1 }, { episode: 2 }] } });
    expect((await history()).match(/"type":"result"/g)).toHaveLength(1);
  });

  it('gives the history to all who ask for it at once', async () => {
    const { record: { runId } } = manager.start(request('/a.onnx'));
    await turn();
    for (const event of [started, episode(1)]) engine.calls[0]!.say(event);
    await manager.stop(runId);
    const again = createManager();
    await expect.poll(() => readFile(join(folder, 'runs', `${runId}.ndjson`), 'utf8')).toContain('episode');
    const found = await Promise.all([again.load(runId), again.load(runId)].map(async (run) => (await run)?.view.candidates.length));
    expect(found).toEqual([1, 1]);
  });

  it('leaves out what is no report, and takes in the others', async () => {
    const damaged = [{}, null, 5, { ...sampleReport, after: undefined }, { ...sampleReport, seconds: null }, { ...sampleReport, candidates: [{}] }, { ...sampleReport, layers: [{ name: 'conv1' }] }];
    const folders = [...damaged, sampleReport].map((_, i) => join(folder, 'found', String(i)));
    for (const [i, report] of [...damaged, sampleReport].entries()) {
      await mkdir(folders[i]!, { recursive: true });
      await writeFile(join(folders[i]!, 'report.json'), JSON.stringify(report));
    }
    await manager.adopt(folders);
    expect(manager.list().map(({ record }) => record.runDir)).toEqual([folders.at(-1)]);
  });

  it('finds model and output where a project was moved to, lists a folder once that is seen in two places, and not when it is gone', async () => {
    const project = join(folder, 'project'), inProject = join('.auto-compress', 'net', 'run'), sha256 = (text: string) => createHash('sha256').update(text).digest('hex');
    const report = { ...sampleReport, model: { path: '/before/net.onnx', sha256: sha256('net') }, out: 'C:\\before\\net.small.onnx', outSha256: sha256('small') };
    await writeTree(project, { 'net.onnx': 'net', 'net.small.onnx': 'small', [join(inProject, 'report.json')]: JSON.stringify(report), [join('.auto-compress', 'net', 'other', 'report.json')]: JSON.stringify({ ...report, model: { ...report.model, sha256: sha256('another') }, outSha256: undefined }) });
    await symlink(project, join(folder, 'link'));
    const [moved, other] = [join(project, inProject), join(project, '.auto-compress', 'net', 'other')];
    await manager.adopt([moved, join(folder, 'link', inProject), other]);
    const listed = () => manager.list().map(({ record: { runDir: at, modelPath, out } }) => ({ at, modelPath, out }));
    expect(listed()).toEqual(expect.arrayContaining([{ at: moved, modelPath: join(project, 'net.onnx'), out: join(project, 'net.small.onnx') }, { at: other, modelPath: report.model.path, out: report.out }]));
    manager = createManager();
    await manager.adopt([join(folder, 'link', inProject)]);
    expect(listed()).toHaveLength(2);

    const { record } = manager.start(request('/a.onnx'));
    await turn();
    for (const event of [startedIn(join(folder, 'away')), episode(1)]) engine.calls[0]!.say(event);
    await manager.stop(record.runId);
    await rm(moved, { recursive: true });
    await manager.adopt([]);
    expect(createManager().list().map(({ record: { runDir: at } }) => at).sort(), 'a run of its own has its options still').toEqual([join(folder, 'away'), other].sort());
  });

  it('tells which run wrote what stands at a place where several wrote, now and after a restart', async () => {
    const out = join(folder, 'out.onnx'), sha256 = (text: string) => createHash('sha256').update(text).digest('hex');
    const ids: string[] = [];
    for (const [index, text] of ['first', 'second'].entries()) {
      ids.push(manager.start(request('/a.onnx')).record.runId);
      await turn();
      engine.calls[index]!.say({ ...result, out, summary: { ...sampleReport, out, outSha256: sha256(text) } } as RunEvent);
      engine.calls[index]!.done();
      await turn();
    }
    const writers = async (runs: RunManager) => (await writersOf(out, runs.list())).map(({ record }) => record.runId);
    expect(await writers(manager)).toEqual([]); // it is gone
    await writeFile(out, 'second');
    expect(await writers(manager)).toEqual([ids[1]]);
    await writeFile(out, 'first');
    expect(await writers(createManager())).toEqual([ids[0]]);
    await writeFile(out, 'by hand');
    expect(await writers(manager)).toEqual([]);
  });

  it('deletes a run without what others put into its folder, and not while a process works on it', async () => {
    const runIn = async (path: string) => {
      const { record: { runId } } = manager.start(request('/a.onnx'));
      await turn();
      engine.calls.at(-1)!.say(startedIn(path));
      await manager.stop(runId);
      return runId;
    };
    const own = ['options.json', 'journal.ndjson', 'report.json', 'pareto-episode-1.plan.json', 'checkpoint-refine.bin.previous', '.auto-compress-17-0123abcd.tmp', 'lock.0123abcd.tmp'], others = ['mine.onnx', 'candidate-1.onnx', 'notes/plan.json'];
    await writeTree(runDir, Object.fromEntries([...own, ...others].map((name) => [name, 'x'])));
    const lone = await writeTree(join(folder, 'lone'), Object.fromEntries(own.map((name) => [name, 'x'])));
    const [shared, alone] = [await runIn(runDir), await runIn(lone)];
    const release = await takeLock(join(runDir, 'lock')); // as a terminal does that resumes it
    await expect(manager.remove(shared)).rejects.toThrow(`The run is in use by process ${process.pid}.`);
    expect([manager.get(shared)?.record.runDir, (await readdir(runDir)).length]).toEqual([runDir, own.length + others.length + 1]);
    await release();
    for (const runId of [shared, alone]) await manager.remove(runId);
    expect([manager.list(), (await readdir(runDir)).sort()]).toEqual([[], ['candidate-1.onnx', 'mine.onnx', 'notes']]);
    expect(await readdir(folder)).not.toContain('lone');
    const gone = await runIn(lone);
    await manager.remove(gone);
    expect(manager.list(), 'no folder is no error').toEqual([]);
  });

  it('keeps how fast the model of a run was', async () => {
    const run = manager.start(request('/a.onnx'));
    manager.keepBenchmark(run, { threads: 1, provider: 'cpu', batches: [] });
    expect(createManager().get(run.record.runId)?.record.benchmark?.threads).toBe(1);
    await turn();
  });

  it('adds up the seconds of each stage, those of a run that goes on and not those before it began anew', async () => {
    let ms = 0;
    manager = new RunManager({ store: new RunStore(memento, join(folder, 'runs')), createEngine: engine.create, now: () => ms });
    const { record } = manager.start(request('/a.onnx'));
    await turn();
    for (const [stage, at] of [['load', 0], ['search', 2000], ['search', 3000], ['report', 7000]] as const) { ms = at; engine.calls[0]!.say({ type: 'stage', stage }); }
    ms = 8000;
    engine.calls[0]!.done();
    await turn();
    expect(record.seconds).toEqual({ load: 2, search: 5, report: 1 });
    for (const [call, resumed, load] of [[1, true, 4], [2, false, 2]] as const) {
      record.status = 'stopped';
      await manager.resume(record.runId);
      await expect.poll(() => engine.calls.length).toBe(call + 1);
      for (const event of [{ ...started, resumed }, { type: 'stage', stage: 'load' }] as RunEvent[]) engine.calls[call]!.say(event);
      ms += 2000;
      await manager.stop(record.runId);
      expect(record.seconds).toEqual(resumed ? { load, search: 5, report: 1 } : { load });
    }
  });
});
