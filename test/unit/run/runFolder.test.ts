import { execFileSync, spawn } from 'node:child_process';
import { appendFile, mkdir, readdir, readFile, rm, stat, symlink, truncate, writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { build } from 'esbuild';
import { describe, expect, it } from 'vitest';
import { parseCompressOptions } from '../../../src/engine/protocol.ts';
import { readCheckpoint, writeCheckpoint } from '../../../src/engine/run/checkpoint.ts';
import { Journal, readJournal } from '../../../src/engine/run/journal.ts';
import { takeLock } from '../../../src/engine/run/lock.ts';
import { createRunFolder, openRunFolder, readRunFolder } from '../../../src/engine/run/runFolder.ts';
import { temporaryFolder, writeTree } from '../../support/files.ts';
import { idx } from '../../support/npy.ts';

const folder = await temporaryFolder();
let made = 0;
const fresh = (files: Record<string, string> = {}): Promise<string> => writeTree(join(folder, String(made++)), files);
const optionsIn = (path: string, more: object = {}): ReturnType<typeof parseCompressOptions> =>
  parseCompressOptions({ model: join(path, 'net.onnx'), val: join(path, 'val.npz'), target: { metric: 'macs', value: 0.5 }, ...more });
const inputs = { 'net.onnx': 'model bytes', 'val.npz': 'images' };

describe('a journal', () => {
  it('gives back what was appended, also when opened again', async () => {
    const path = join(await fresh(), 'journal.ndjson');
    const { journal } = await Journal.open(path);
    await journal.append({ episode: 1, accuracy: 0.1 + 0.2, name: 'é\n' });
    await journal.append({ episode: 2 });
    await journal.close();
    const again = await Journal.open(path);
    expect(again.entries).toEqual([{ episode: 1, accuracy: 0.1 + 0.2, name: 'é\n' }, { episode: 2 }]);
    await again.journal.close();
  });

  it('loses at most the entry being written, wherever its writing stops', async () => {
    const path = join(await fresh(), 'journal.ndjson');
    const { journal } = await Journal.open(path);
    await journal.append({ episode: 1 });
    const whole = (await stat(path)).size;
    await journal.append({ episode: 2 });
    await journal.close();
    const bytes = await readFile(path);
    for (let length = 0; length <= bytes.length; length++) {
      await writeFile(path, bytes.subarray(0, length));
      const { journal: opened, entries } = await Journal.open(path);
      const expected = length === bytes.length ? [{ episode: 1 }, { episode: 2 }] : length >= whole ? [{ episode: 1 }] : [];
      expect(entries).toEqual(expected);
      await opened.append({ episode: 'next' });
      await opened.close();
      expect(await readJournal(path)).toEqual([...expected, { episode: 'next' }]);
    }
  });

  it('drops a last line whose bytes changed, and refuses a changed line before others', async () => {
    const path = join(await fresh(), 'journal.ndjson');
    const { journal } = await Journal.open(path);
    for (const episode of [1, 2, 3]) await journal.append({ episode });
    await journal.close();
    const lines = (await readFile(path, 'utf8')).split('\n');
    await writeFile(path, [lines[0], lines[1], lines[2]!.replace('3', '4'), ''].join('\n'));
    expect(await readJournal(path)).toEqual([{ episode: 1 }, { episode: 2 }]);
    await writeFile(path, [lines[0], lines[1]!.replace('2}', '7}'), lines[2], ''].join('\n'));
    await expect(Journal.open(path)).rejects.toThrow(/^Line 2 of the journal .*journal\.ndjson is damaged, and others follow it\./);
  });

  it('says when the folder was deleted meanwhile', async () => {
    const path = await fresh();
    const { journal } = await Journal.open(join(path, 'journal.ndjson'));
    await rm(path, { recursive: true });
    await expect(journal.append({})).rejects.toThrow(/Can't write the journal .*: it was deleted while the run went on/);
    await journal.close();
  });

  it.skipIf(process.platform !== 'linux')('keeps every entry before the disk is full, and says so', async () => {
    const path = await fresh();
    const program = join(path, 'append.mjs');
    await build({ stdin: { contents: "import { Journal } from './journal.ts'; const { journal } = await Journal.open(process.argv[2]); for (let episode = 1; ; episode++) await journal.append({ episode, filling: 'x'.repeat(300) }).catch((error) => { console.log(error.message); process.exit(); });", resolveDir: 'src/engine/run' }, outfile: program, bundle: true, platform: 'node', format: 'esm', packages: 'external' });
    // a file-size limit of 4 blocks stops a write in the middle of a line, as a full disk does
    const said = execFileSync('bash', ['-c', 'trap "" XFSZ; ulimit -f 4; exec "$@"', 'bash', process.execPath, program, join(path, 'journal.ndjson')], { encoding: 'utf8' });
    expect(said).toMatch(/^Can't write the journal .*file too large.*Everything before is kept/);
    const entries = await readJournal(join(path, 'journal.ndjson')) as { episode: number }[];
    expect(entries.length).toBeGreaterThan(3);
    expect(entries.map(({ episode }) => episode)).toEqual(entries.map((_, i) => i + 1));
    const { journal, entries: again } = await Journal.open(join(path, 'journal.ndjson'));
    expect(again).toHaveLength(entries.length);
    await journal.close();
  });
});

describe('a checkpoint', () => {
  const state = (n: number): { header: unknown; bytes: Uint8Array } => ({ header: { episode: n }, bytes: Uint8Array.from({ length: 1000 }, (_, i) => (i * n) % 256) });

  it('is read back exactly; none is undefined', async () => {
    const path = join(await fresh(), 'checkpoint.bin');
    expect(await readCheckpoint(path)).toBeUndefined();
    await writeCheckpoint(path, state(3));
    expect(await readCheckpoint(path)).toEqual(state(3));
    expect((await readdir(join(path, '..'))).filter((name) => name.includes('tmp') || name.includes('next'))).toEqual([]);
  });

  it('falls back to the one before when the last is torn or damaged anywhere', async () => {
    const path = join(await fresh(), 'checkpoint.bin');
    await writeCheckpoint(path, state(1));
    await writeCheckpoint(path, state(2));
    const bytes = await readFile(path);
    for (const length of [0, 1, 9, 20, 500, bytes.length - 1]) {
      await writeFile(path, bytes.subarray(0, length));
      expect(await readCheckpoint(path)).toEqual(state(1));
    }
    for (const at of [0, 8, 12, 18, 600, bytes.length - 1]) {
      const damaged = Buffer.from(bytes);
      damaged[at]! ^= 4;
      await writeFile(path, damaged);
      expect(await readCheckpoint(path)).toEqual(state(1));
    }
    await rm(path); // died between the two renames
    expect(await readCheckpoint(path)).toEqual(state(1));
  });

  it('of a large model is written and read in pieces, and one of more than 2 GiB that is damaged is no error', async () => {
    const path = join(await fresh(), 'checkpoint.bin'), large = { header: { episode: 1 }, bytes: new Uint8Array(2 ** 27 + 5).map((_, i) => i % 251) };
    await writeCheckpoint(path, large);
    const read = await readCheckpoint(path);
    expect(read!.header).toEqual(large.header);
    expect(Buffer.compare(read!.bytes, large.bytes)).toBe(0);
    await writeCheckpoint(path, state(2));
    await truncate(path, 3 * 2 ** 30); // a hole, which takes no room
    expect(Buffer.compare((await readCheckpoint(path))!.bytes, large.bytes)).toBe(0);
  });
});

describe('a lock', () => {
  it('keeps a second taker out until it is given back', async () => {
    const path = join(await fresh(), 'lock');
    const release = await takeLock(path);
    await expect(takeLock(path)).rejects.toThrow(new RegExp(`^The run is in use by process ${process.pid}\\. Wait for it or stop it; if it is gone, delete .*lock\\.`));
    await release();
    await (await takeLock(path))();
  });

  it.each([
    ['whose process is gone', () => { const child = spawn(process.execPath, ['-e', '']); return new Promise<string>((resolve) => child.on('exit', () => { resolve(JSON.stringify({ pid: child.pid, started: 'x', host: hostname() })); })); }],
    ['whose number another process has now', () => Promise.resolve(JSON.stringify({ pid: process.ppid, started: 'another boot 17', host: hostname() }))],
    ['that was torn while it was written', () => Promise.resolve('{"pid": 1')],
  ])('%s is taken over', async (_title, content) => {
    const path = join(await fresh(), 'lock');
    await writeFile(path, await content());
    const release = await takeLock(path);
    await release();
    expect(await readdir(join(path, '..'))).toEqual([]);
  });

  it('of another machine is respected', async () => {
    const path = join(await fresh(), 'lock');
    await writeFile(path, JSON.stringify({ pid: 1, started: '', host: 'elsewhere' }));
    await expect(takeLock(path)).rejects.toThrow(/in use by a process on elsewhere/);
  });

  it('goes to one of many takers at once', async () => {
    const path = join(await fresh(), 'lock');
    await writeFile(path, 'stale');
    const taken = await Promise.allSettled(Array.from({ length: 8 }, () => takeLock(path)));
    expect(taken.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
  });
});

describe('a run folder', () => {
  it('stands beside the model by default, one a run', async () => {
    const path = await fresh(inputs);
    const first = await createRunFolder(optionsIn(path)), second = await createRunFolder(optionsIn(path));
    expect(first.path).toMatch(/\.auto-compress[\\/]net[\\/]\d{8}-\d{6}$/);
    expect(second.path).not.toBe(first.path);
    await first.close();
    await second.close();
  });

  it('opens with the options, journal and checkpoint it was left with', async () => {
    const path = await fresh(inputs);
    const run = await createRunFolder(optionsIn(path, { seed: 7, runDir: join(path, 'run') }));
    await run.append({ episode: 1 });
    await run.writeCheckpoint('finetune', { header: { episode: 1 }, bytes: Uint8Array.of(1, 2) });
    await run.close();
    const again = await openRunFolder(join(path, 'run'));
    expect(again).toMatchObject({ resumed: true, entries: [{ episode: 1 }], options: { seed: 7, target: { metric: 'macs', value: 0.5 } } });
    expect(await again.readCheckpoint('finetune')).toEqual({ header: { episode: 1 }, bytes: Uint8Array.of(1, 2) });
    expect((await readRunFolder(join(path, 'run'))).entries).toEqual([{ episode: 1 }]); // while it is in use
    await expect(openRunFolder(join(path, 'run'))).rejects.toThrow(/in use by process/);
    await again.close();
  });

  const left = async (): Promise<string> => {
    const path = await fresh(inputs);
    await (await createRunFolder(optionsIn(path, { runDir: join(path, 'run') }))).close();
    return path;
  };
  const changeOptions = async (path: string, more: object): Promise<void> => {
    const file = join(path, 'run/options.json'), { options, ...others } = JSON.parse(await readFile(file, 'utf8')) as { options: object };
    await writeFile(file, JSON.stringify({ ...others, options: { ...options, ...more } }));
  };
  it.each<[string, (path: string) => Promise<unknown>, RegExp]>([
    ['whose model has changed', (path) => appendFile(join(path, 'net.onnx'), 'x'), /net\.onnx \(option model of the run\) has changed since the run began\. Restore it, or start a new run\./],
    ['whose model is gone', (path) => rm(join(path, 'net.onnx')), /net\.onnx \(option model of the run\): it is gone/],
    ['whose data have changed', (path) => writeFile(join(path, 'val.npz'), 'other'), /val\.npz \(option val of the run\) has changed/],
    ['whose options are torn', async (path) => truncate(join(path, 'run/options.json'), 30), /Can't read .*options\.json: /],
    ['whose options are of another kind', (path) => writeFile(join(path, 'run/options.json'), '{}'), /options\.json is damaged or from another version \("format"/],
    ['with an option of another version', (path) => changeOptions(path, { episode: 3 }), /run.options\.json is damaged or from another version \(Options: Unrecognized key: "episode"\)\.$/],
    ['with an option out of its range', (path) => changeOptions(path, { episodes: 0 }), /run.options\.json is damaged or from another version \(Option "episodes": Too small.*\)\.$/],
    ['without options', (path) => rm(join(path, 'run/options.json')), /options\.json: there is no such file/],
    ['that is gone', (path) => rm(join(path, 'run'), { recursive: true }), /There is no run folder .*run\./],
  ])('%s is refused', async (_title, change, message) => {
    const path = await left();
    await change(path);
    await expect(openRunFolder(join(path, 'run'))).rejects.toThrow(message);
  });

  it('that holds a run is not taken for a new one', async () => {
    const path = await left();
    await expect(createRunFolder(optionsIn(path, { runDir: join(path, 'run') }))).rejects.toThrow(/already holds a run\. Resume it, or give another folder with --run-dir\./);
  });

  it.each(['journal.ndjson', 'checkpoint.bin', 'checkpoint-refine.bin.previous', 'latency-table.json', 'plan.json', 'report.json', 'reconstructed.onnx'])('with a left %s is not taken for a new one: it would be adopted, or go lost', async (name) => {
    const path = await fresh({ ...inputs, [`run/${name}`]: 'x', 'run/note.txt': 'x' }), before = await readdir(join(path, 'run'));
    await expect(createRunFolder(optionsIn(path, { runDir: join(path, 'run') }))).rejects.toThrow(`run holds files with the names of a run's own (${name}). Move them away, or give another folder with --run-dir.`);
    expect(await readdir(join(path, 'run'))).toEqual(before);
  });

  it('that could not begin leaves what was there before', async () => {
    const path = await fresh({ ...inputs, 'mine/note.txt': 'x' });
    const before = await readdir(path, { recursive: true });
    for (const more of [{}, { runDir: join(path, 'a/b/run') }, { runDir: join(path, 'mine') }]) {
      const run = await createRunFolder(optionsIn(path, more));
      await writeFile(run.file('latency-table.json'), '{}');
      await run.abandon();
      expect(await readdir(path, { recursive: true })).toEqual(before);
    }
  });

  it('that can\'t be made says so, and what helps where it was not chosen', async () => {
    const path = await fresh({ ...inputs, '.auto-compress': '' });
    await expect(createRunFolder(optionsIn(path, { runDir: join(path, '.auto-compress', 'run') }))).rejects.toThrow(/^Can't make the run folder .*\. Give another with --run-dir\.$/);
    await expect(createRunFolder(optionsIn(path))).rejects.toThrow(/^Can't make the run folder .*\. Copy the model to a folder that can be written, or give another run folder with --run-dir\.$/);
  });

  it('is not made where an input is missing', async () => {
    const path = await fresh({ 'net.onnx': 'x' });
    await expect(createRunFolder(optionsIn(path))).rejects.toThrow(/Can't read .*val\.npz \(option val\): there is no such file or folder/);
    expect(await readdir(path)).toEqual(['net.onnx']);
  });

  /** Whether a run on data notices a change of them. */
  const notices = async (path: string, val: string, change: () => Promise<unknown>): Promise<boolean> => {
    const runDir = join(path, 'run');
    await (await createRunFolder(optionsIn(path, { val: join(path, val), runDir }))).close();
    await (await openRunFolder(runDir)).close();
    await change();
    return openRunFolder(runDir).then((run) => run.close()).then(() => false, (error: Error) => /\(option val of the run\) has changed since the run began/.test(error.message));
  };

  it('notices what links lead to, in a folder of linked classes and images', async () => {
    const path = await fresh({ 'net.onnx': 'x', 'store/a/1.png': 'one', 'store/b/2.png': 'two', 'store/3.png': 'three' });
    await mkdir(join(path, 'data/b'), { recursive: true });
    await symlink(join(path, 'store/a'), join(path, 'data/a'));
    await symlink(join(path, 'store/3.png'), join(path, 'data/b/3.png'));
    expect(await notices(path, 'data', () => writeFile(join(path, 'store/a/1.png'), 'another one'))).toBe(true);
    await rm(join(path, 'run'), { recursive: true });
    expect(await notices(path, 'data', () => writeFile(join(path, 'store/3.png'), 'drei!'))).toBe(true); // as many bytes
    await rm(join(path, 'run'), { recursive: true });
    expect(await notices(path, 'data', () => writeFile(join(path, 'store/b/2.png'), 'not linked'))).toBe(false);
  });

  it('notices labels that stand in another file than the images, and images that a list names', async () => {
    const path = await fresh({ 'net.onnx': 'x', 'list.csv': 'a.png,0\nb.png,1\n', 'a.png': 'one', 'b.png': 'two' });
    await writeTree(path, { 't-images-idx3-ubyte': idx([2, 1, 1], Uint8Array.of(1, 2)), 't-labels-idx1-ubyte': idx([2], Uint8Array.of(0, 1)) });
    expect(await notices(path, 't-images-idx3-ubyte', () => writeFile(join(path, 't-labels-idx1-ubyte'), idx([2], Uint8Array.of(1, 0))))).toBe(true);
    await rm(join(path, 'run'), { recursive: true });
    expect(await notices(path, 'list.csv', () => rm(join(path, 'b.png')))).toBe(true);
  });

  it('beside a model among its images is none of the data', async () => {
    const path = await fresh({ 'data/net.onnx': 'x', ...Object.fromEntries(Array.from({ length: 20 }, (_, i) => [`data/a/${i}.png`, `image ${i}`])) });
    const { path: runDir, close } = await createRunFolder(parseCompressOptions({ model: join(path, 'data/net.onnx'), val: join(path, 'data'), target: { metric: 'macs', value: 0.5 } })).then((run) => ({ path: run.path, close: () => run.close() }));
    await close();
    await (await openRunFolder(runDir)).close();
    await writeFile(join(path, 'data/a/7.png'), 'longer than before');
    await expect(openRunFolder(runDir)).rejects.toThrow(/has changed/);
  });

  it.skipIf(process.platform === 'win32')('refuses a pipe for a model or data, and does not wait for it', async () => {
    const path = await fresh(inputs), pipe = join(path, 'pipe');
    execFileSync('mkfifo', [pipe]);
    for (const more of [{ val: pipe }, { model: pipe }, { calibration: pipe }]) await expect(createRunFolder(optionsIn(path, more))).rejects.toThrow(/pipe.* is neither a file nor a folder/);
    expect((await readdir(path)).sort()).toEqual(['net.onnx', 'pipe', 'val.npz']);
  });

  it('notices a changed file inside a data folder', async () => {
    const path = await fresh({ 'net.onnx': 'x', 'data/a/1.png': 'one' });
    await (await createRunFolder(optionsIn(path, { val: join(path, 'data'), runDir: join(path, 'run') }))).close();
    await mkdir(join(path, 'data/b'));
    await writeFile(join(path, 'data/b/2.png'), 'two');
    await expect(openRunFolder(join(path, 'run'))).rejects.toThrow(/data \(option val of the run\) has changed/);
  });
});
