import { execFileSync, spawn } from 'node:child_process';
import { mkdir, open as openFile, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { makeNode } from '../../../src/engine/onnx/attributes.ts';
import { buildModel, valueInfo } from '../../../src/engine/onnx/buildModel.ts';
import { encodeModel, saveModel } from '../../../src/engine/onnx/modelFile.ts';
import { floatTensor } from '../../../src/engine/onnx/tensor.ts';
import { bundle } from '../../support/bundle.ts';
import { hasShared, shared, temporaryFolder, writeTree } from '../../support/files.ts';
import { npy, npz } from '../../support/npy.ts';
import { smallTask } from '../../support/smallTask.ts';

const folder = await temporaryFolder();
let program: string, remove: () => Promise<void>;
beforeAll(async () => { ({ program, remove } = await bundle('src/engine/cli.ts')); });
afterAll(() => remove());

interface Finished { readonly status: number | null; readonly stdout: string; readonly stderr: string }
/** Runs the command line in `folder` as a user does; `interruptAfter` sends SIGINT when a line of standard output or error matches. */
function run(args: readonly string[], interruptAfter?: RegExp): Promise<Finished & { readonly secondsAfterInterrupt: number }> {
  return new Promise((done) => {
    const child = spawn(process.execPath, [program, ...args], { cwd: folder, stdio: ['ignore', 'pipe', 'pipe'] });
    let stdout = '', stderr = '', interrupted = 0;
    const look = (): void => { if (interruptAfter && !interrupted && interruptAfter.test(stdout + stderr)) { interrupted = performance.now(); child.kill('SIGINT'); } };
    child.stdout.on('data', (chunk: Buffer) => { stdout += chunk.toString(); look(); });
    child.stderr.on('data', (chunk: Buffer) => { stderr += chunk.toString(); look(); });
    child.on('close', (status) => { done({ status, stdout, stderr, secondsAfterInterrupt: (performance.now() - interrupted) / 1000 }); });
  });
}

/** The last object of a --json answer. */
const lastOf = ({ stdout }: Finished): unknown => JSON.parse(stdout.trim().split('\n').at(-1)!);

/** A model whose output is its input: images of one pixel, a class a channel. */
const channelsAsClasses = buildModel({ nodes: [makeNode('GlobalAveragePool', ['images'], ['pooled']), makeNode('Flatten', ['pooled'], ['scores'])], inputs: [valueInfo('images', ['n', 3, 1, 1], 1)], outputs: [valueInfo('scores', ['n', 3], 1)] });
const pixels = Uint8Array.from([200, 1, 2, 3, 210, 4, 5, 6, 220, 230, 7, 8]);
const images = npy('|u1', [4, 3, 1, 1], pixels);
beforeAll(async () => {
  await saveModel(channelsAsClasses, join(folder, 'model.onnx'));
  await saveModel(buildModel({ nodes: [makeNode('Neg', ['images'], ['negative']), makeNode('GlobalAveragePool', ['negative'], ['pooled']), makeNode('Flatten', ['pooled'], ['scores'])], inputs: [valueInfo('images', ['n', 3, 1, 1], 1)], outputs: [valueInfo('scores', ['n', 3], 1)] }), join(folder, 'negative.onnx'));
  for (const batch of [1, 4]) await saveModel(buildModel({ nodes: channelsAsClasses.graph.node, inputs: [valueInfo('images', [batch, 3, 1, 1], 1)], outputs: [valueInfo('scores', [batch, 3], 1)] }), join(folder, `batch${batch}.onnx`));
  await writeTree(folder, {
    'text.onnx': 'hello', 'cut.onnx': Buffer.concat(encodeModel(channelsAsClasses)).subarray(0, 40), 'empty/.keep': '',
    'val.npz': npz({ images, labels: npy('<i8', [4], BigInt64Array.of(0n, 1n, 2n, 2n)) }), 'unlabelled.npz': npz({ images }), 'outside.npz': npz({ images, labels: npy('<i8', [4], BigInt64Array.of(0n, 1n, 2n, 3n)) }),
  });
});

describe('wrong use ends with one clear line on standard error and its exit status, and leaves nothing behind:', () => {
  const compress = ['compress', 'model.onnx', '--val', 'val.npz'];
  it.each<[string, string[], number, RegExp]>([
    ['no such command', ['shrink'], 2, /There is no command "shrink"\. Commands: compress, resume, inspect/],
    ['an unknown option', [...compress, '--colour', 'red'], 2, /Unknown option --colour\. See: auto-compress compress --help/],
    ['an option without its value', [...compress, '--seed'], 2, /Option '--seed <value>' argument missing\. See/],
    ['a number that is none', [...compress, '--seed', 'x'], 2, /Option --seed: expected a number, got "x"/],
    ['a number out of range', [...compress, '--episodes', '0'], 2, /Option "episodes": Too small/],
    ['a count that is not whole', [...compress, '--episodes', '1.5'], 2, /Option "episodes": expected a whole number, got 1\.5\./],
    ['no model', ['compress', '--val', 'val.npz'], 2, /MODEL is missing: auto-compress compress MODEL/],
    ['two models', ['inspect', 'model.onnx', 'model.onnx'], 2, /"model\.onnx" is one argument too many/],
    ['no data', ['compress', 'model.onnx'], 2, /Option --val DATA is missing/],
    ['a target of 0', [...compress, '--target', 'macs=0'], 2, /Target macs=0: expected a fraction between 0 and 1, such as 0\.5/],
    ['a target of 2', [...compress, '--target', 'macs=2'], 2, /Target macs=2: expected a fraction/],
    ['a target of another form', [...compress, '--target', 'speed=2'], 2, /Target "speed=2": expected macs=R/],
    ['an unknown metric', ['evaluate', 'model.onnx', '--data', 'val.npz', '--metric', 'f1'], 2, /Option --metric: expected top1, top5, agreement, got "f1"/],
    ['a text to compress', ['compress', 'text.onnx', '--val', 'val.npz'], 2, /text\.onnx is not an ONNX model/],
    ['a model without channels to remove', compress, 2, /model\.onnx has no channels that can be removed/],
    ['no data to compress with', ['compress', 'model.onnx', '--val', 'nothing.npz'], 2, /Can't read .*nothing\.npz/],
    ['an output that is the model', [...compress, '--out', './model.onnx'], 2, /The output .*model\.onnx would overwrite the model: give another --out\./],
    ['an output that is the data', [...compress, '--out', 'val.npz'], 2, /The output .*val\.npz would overwrite .*val\.npz, which is read: give another --out\./],
    ['an output that is a folder', [...compress, '--out', 'empty'], 2, /Can't write .*empty: it is a folder\./],
    ['an output without a name', [...compress, '--out', ''], 2, /Option --out: its value is empty\./],
    ['a model without a name', ['inspect', ' '], 2, /MODEL is empty: auto-compress inspect MODEL/],
    ['two targets', [...compress, '--target', 'macs=0.3', '--target', 'params=0.9'], 2, /Option --target stands there twice\. Keep one of them\./],
    ['an output in no folder', [...compress, '--out', 'nowhere/out.onnx'], 2, /Can't write .*out\.onnx: its folder does not exist/],
    ['a pruned model that is the model', ['prune', 'model.onnx', '--preserve', '0.5', '--out', 'model.onnx'], 2, /The output .*model\.onnx would overwrite the model/],
    ['a plan that is the model', ['prune', 'model.onnx', '--preserve', '0.5', '--out', 'out.onnx', '--plan-out', 'model.onnx'], 2, /The output .*model\.onnx would overwrite the model: give another --plan-out\./],
    ['a plan that is the pruned model', ['prune', 'model.onnx', '--preserve', '0.5', '--out', 'out.onnx', '--plan-out', './out.onnx'], 2, /The output .*out\.onnx would overwrite .*out\.onnx, which --out names: give another --plan-out\./],
    ['a pruned model that is a folder', ['prune', 'model.onnx', '--preserve', '0.5', '--out', 'empty'], 2, /Can't write .*empty: it is a folder\./],
    ['a pruned model that is the calibration data', ['prune', 'model.onnx', '--preserve', '0.5', '--out', 'val.npz', '--calibration', 'val.npz'], 2, /would overwrite .*val\.npz, which is read/],
    ['no such model', ['inspect', 'nothing.onnx'], 2, /Can't read the model .*nothing\.onnx: there is no such file/],
    ['a text named .onnx', ['inspect', 'text.onnx'], 2, /text\.onnx is not an ONNX model/],
    ['a model that is cut short', ['inspect', 'cut.onnx'], 2, /cut\.onnx is not an ONNX model/],
    ['no such data', ['evaluate', 'model.onnx', '--data', 'nothing.npz'], 2, /Can't read the data .*nothing\.npz/],
    ['an empty folder of images', ['evaluate', 'model.onnx', '--data', 'empty'], 2, /holds no images/],
    ['labels that are missing', ['evaluate', 'model.onnx', '--data', 'unlabelled.npz', '--metric', 'top1'], 2, /unlabelled\.npz has no labels/],
    ['a label outside the classes', ['evaluate', 'model.onnx', '--data', 'outside.npz'], 2, /label 3 of image 3 is outside the model's 3 classes/],
    ['agreement with nothing', ['evaluate', 'model.onnx', '--data', 'unlabelled.npz'], 2, /needs the model to agree with: give --against MODEL/],
    ['preprocessing that is no JSON', ['evaluate', 'model.onnx', '--data', 'val.npz', '--preprocess', '{x'], 2, /Preprocessing is not valid JSON/],
    ['agreement that is not asked for', ['evaluate', 'model.onnx', '--data', 'val.npz', '--against', 'nothing.onnx'], 2, /Option --against is for agreement, but top1 is measured by the labels of .*val\.npz\. Add --metric agreement, or leave out --against\./],
    ['a limit of no image', ['evaluate', 'model.onnx', '--data', 'val.npz', '--limit', '0'], 2, /Option "limit": Too small/],
    ['fewer threads than none', ['evaluate', 'model.onnx', '--data', 'val.npz', '--threads=-1'], 2, /Option "threads": Too small/],
    ['half a thread', ['benchmark', 'model.onnx', '--threads', '1.5'], 2, /Option "threads": expected a whole number, got 1\.5\./],
    ['fewer threads than none to benchmark with', ['benchmark', 'model.onnx', '--threads=-1'], 2, /Option "threads": Too small/],
    ['a batch of 0', ['benchmark', 'model.onnx', '--batch=0'], 2, /Option "batch": Too small/],
    ['a batch below 0', ['benchmark', 'model.onnx', '--batch=-1'], 2, /Option "batch": Too small/],
    ['no time to measure', ['benchmark', 'model.onnx', '--seconds=-1'], 2, /Option "seconds": Too small/],
    ['times of different batches', ['benchmark', 'batch1.onnx', '--against', 'batch4.onnx'], 2, /One model takes batches of 1 only, the other of 4: their times can't be compared\./],
    ['a batch that a model does not take', ['benchmark', 'model.onnx', '--against', 'batch4.onnx', '--batch', '2'], 2, /The model takes batches of 4 only\./],
    ['neither a ratio nor a plan', ['prune', 'model.onnx', '--out', 'out.onnx'], 2, /Give either --preserve R or --plan FILE/],
    ['a run folder that is none', ['resume', 'empty/nothing'], 2, /./],
  ])('%s', async (_title, args, status, message) => {
    const before = await readdir(folder, { recursive: true });
    const finished = await run(args);
    expect(finished).toMatchObject({ status });
    expect(finished.stderr).toMatch(/^auto-compress: [^\n]*\n$/);
    expect(finished.stderr).toMatch(message);
    expect(await readdir(folder, { recursive: true })).toEqual(before);
  });

  it.skipIf(process.platform === 'win32')('a pipe for data, which is not waited for', async () => {
    execFileSync('mkfifo', [join(folder, 'pipe')]);
    expect(await run([...compress, '--calibration', 'pipe'])).toMatchObject({ status: 2, stderr: expect.stringMatching(/pipe is neither a file nor a folder\.\n$/) as string });
    await rm(join(folder, 'pipe'));
  });

  it('with --json the error is also an object on standard output', async () => {
    const { stdout, status } = await run(['inspect', 'text.onnx', '--json']);
    expect(status).toBe(2);
    expect(JSON.parse(stdout)).toMatchObject({ type: 'error', exitStatus: 2 });
  });

  it('--debug shows where it came from', async () => {
    expect((await run(['inspect', 'text.onnx', '--debug'])).stderr).toMatch(/\n\s+at /);
  });
});

describe('help', () => {
  it('lists every command, with status 2 when nothing was asked', async () => {
    const [asked, nothing] = [await run(['--help']), await run([])];
    expect(asked.status).toBe(0);
    expect(nothing).toMatchObject({ status: 2, stdout: asked.stdout });
    for (const name of ['compress', 'resume', 'inspect', 'prune', 'evaluate', 'benchmark']) expect(asked.stdout).toContain(`auto-compress ${name}`);
  });
  it.each(['compress', 'prune', 'evaluate', 'benchmark'])('of %s describes every option', async (name) => {
    const { stdout, status } = await run([name, '--help']);
    expect(status).toBe(0);
    const lines = stdout.split('\n').filter((line) => line.startsWith('  --'));
    expect(lines.length).toBeGreaterThan(3);
    for (const line of lines) expect(line).toMatch(/^ {2}--[a-z-]+( [^ ]+)?( {2,})\S.*\.$/);
  });
  it('gives the version of the package', async () => {
    const { stdout } = await run(['--version']);
    expect(stdout.trim()).toBe((JSON.parse(await readFile('package.json', 'utf8')) as { version: string }).version);
  });
});

describe('evaluate', () => {
  it('gives accuracy as text and as JSON', async () => {
    const textual = await run(['evaluate', 'model.onnx', '--data', 'val.npz']);
    expect(textual).toMatchObject({ status: 0 });
    expect(textual.stdout).toMatch(/(^|\n)top1 +75\.00%\nimages +4\n/);
    expect(textual.stdout).not.toContain('Note');
    expect(lastOf(await run(['evaluate', 'model.onnx', '--data', 'val.npz', '--json']))).toMatchObject({ type: 'result', metric: 'top1', value: 0.75, images: 4, classes: 3, labelled: true });
  });
  it('gives agreement with another model', async () => {
    const agreement = async (other: string): Promise<number> => (lastOf(await run(['evaluate', 'model.onnx', '--data', 'unlabelled.npz', '--against', other, '--json'])) as { value: number }).value;
    expect(await agreement('model.onnx')).toBe(1);
    expect(await agreement('negative.onnx')).toBe(0);
  });
  it('takes the recipe it is given', async () => {
    expect(lastOf(await run(['evaluate', 'model.onnx', '--data', 'val.npz', '--json', '--preprocess', '{"channelOrder":"bgr"}']))).toMatchObject({ value: 0.25 });
  });
  it('says when a model is no better than guessing', async () => {
    const { stdout } = await run(['evaluate', 'model.onnx', '--data', 'val.npz', '--preprocess', '{"channelOrder":"bgr"}']);
    expect(stdout).toMatch(/top1 +25\.00%\n[^]*Note: The model is no better than guessing on .*val\.npz \(25\.0% right, 3 classes\)/);
  });
});

it('benchmark compares two models', async () => {
  const { stdout, status } = await run(['benchmark', 'model.onnx', '--against', 'negative.onnx', '--seconds', '0.1', '--json']);
  expect(status).toBe(0);
  const { batches } = JSON.parse(stdout) as { batches: { batch: number; model: { median: number; p10: number; p90: number }; ratio: { value: number; low: number; high: number } }[] };
  expect(batches.map(({ batch }) => batch)).toEqual([1, 8]);
  for (const { model, ratio } of batches) {
    expect(model.p10).toBeLessThanOrEqual(model.median);
    expect(model.median).toBeLessThanOrEqual(model.p90);
    expect(ratio.low).toBeLessThanOrEqual(ratio.high);
  }
});

it('benchmark runs both models at the batch that one of them fixes', async () => {
  const { stdout } = await run(['benchmark', 'model.onnx', '--against', 'batch4.onnx', '--seconds', '0.1', '--json']);
  expect((JSON.parse(stdout) as { batches: { batch: number }[] }).batches.map(({ batch }) => batch)).toEqual([4]);
});

describe('when standard output ends', () => {
  /** @param stdout a file, or a pipe whose reader goes when the text was written to it */
  const unread = (args: readonly string[], stdout: number | RegExp): Promise<Omit<Finished, 'stdout'>> => new Promise((done) => {
    const child = spawn(process.execPath, [program, ...args], { cwd: folder, stdio: ['ignore', typeof stdout === 'number' ? stdout : 'pipe', 'pipe'] });
    let stderr = '', said = '';
    child.stdout?.on('data', (chunk: Buffer) => { said += chunk.toString(); if ((stdout as RegExp).test(said)) child.stdout?.destroy(); });
    child.stderr!.on('data', (chunk: Buffer) => { stderr += chunk.toString(); });
    child.on('close', (status) => { done({ status, stderr }); });
  });

  it('a run stops, with status 130, and says how to go on', async () => {
    await mkdir(join(folder, 'small'));
    const { model, data } = await smallTask(join(folder, 'small'));
    const { status, stderr } = await unread(['compress', model, '--val', data, '--episodes', '50', '--refine', '0', '--threads', '1', '--preprocess', '{}', '--json', '--out', 'small/out.onnx', '--run-dir', 'small/run'], /"type":"episode"/);
    expect({ status, stderr }).toEqual({ status: 130, stderr: `auto-compress: Cancelled. Go on with: auto-compress resume ${JSON.stringify(join(folder, 'small/run'))}\n` });
    expect((await readdir(join(folder, 'small'))).sort()).toEqual(['data.npz', 'run', 'small.onnx']);
    await rm(join(folder, 'small'), { recursive: true });
  }, 60_000);

  it.skipIf(process.platform !== 'linux')('an answer that is lost is no success', async () => {
    const full = await openFile('/dev/full', 'w');
    expect(await unread(['inspect', 'model.onnx'], full.fd)).toEqual({ status: 2, stderr: expect.stringMatching(/^auto-compress: Can't write to standard output: ENOSPC/) as string });
    await full.close();
  });
});

it('Ctrl-C stops within two seconds, with status 130, and leaves nothing half-written', async () => {
  const before = await readdir(folder, { recursive: true });
  const count = 200_000;
  await writeFile(join(folder, 'many.npz'), npz({ images: npy('|u1', [count, 3, 1, 1], new Uint8Array(count * 3)), labels: npy('|u1', [count], new Uint8Array(count)) }, 0));
  const finished = await run(['evaluate', 'model.onnx', '--data', 'many.npz', '--json'], /"stage"/);
  expect(finished.status).toBe(130);
  expect(finished.stdout.trim().split('\n').at(-1)).toBe('{"type":"error","message":"Cancelled.","exitStatus":130}');
  expect(finished.stderr).toMatch(/auto-compress: Cancelled\.\n$/);
  expect(finished.secondsAfterInterrupt).toBeLessThan(5);
  expect((await readdir(folder, { recursive: true })).filter((name) => !name.startsWith('many'))).toEqual(before);
});

it('inspect shows names and producer without what would move or colour a terminal; its JSON keeps them', async () => {
  const name = '\u001b[2J\u001b[31mred', model = buildModel({ nodes: [makeNode('Conv', ['x', 'w'], ['y'], {}, name)], initializers: [floatTensor('w', [2, 1, 1, 1], Float32Array.of(1, 2))], inputs: [valueInfo('x', ['n', 1, 2, 2], 1)], outputs: [valueInfo('y', ['n', 2, 2, 2], 1)] });
  model.producerName = '\u001b]0;owned\u0007';
  await saveModel(model, join(folder, 'escapes.onnx'));
  const { stdout } = await run(['inspect', 'escapes.onnx']);
  expect(stdout.replaceAll('\n', '')).not.toMatch(/\p{Cc}/u);
  expect(stdout).toContain('[31mred');
  expect(lastOf(await run(['inspect', 'escapes.onnx', '--json']))).toMatchObject({ layers: [{ name }] });
  await rm(join(folder, 'escapes.onnx'));
}, 60_000);

it('prune tells which options are of no effect', async () => {
  await mkdir(join(folder, 'small'));
  const { model } = await smallTask(join(folder, 'small'));
  const notes = async (...args: string[]): Promise<string[]> => {
    const { status, stdout, stderr } = await run(['prune', model, '--out', 'small/out.onnx', ...args]);
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    return stdout.split('\n').filter((line) => line.startsWith('Note: ')).map((line) => /^Note: Option (\S+) is of no effect/.exec(line)?.[1] ?? line);
  };
  expect(await notes('--preserve', '0.5', '--round-to', '1', '--plan-out', 'small/plan.json')).toEqual([]);
  expect(await notes('--plan', 'small/plan.json', '--round-to', '1', '--preprocess', '{}')).toEqual(['round-to', 'preprocess']);
  expect(await notes('--preserve', '0.5', '--no-reconstruct', '--calibration', 'small/data.npz', '--preprocess', '{}')).toEqual(['calibration', 'preprocess']);
  await rm(join(folder, 'small'), { recursive: true });
}, 60_000);

it('prune says whether anything was repaired', async () => {
  const some = (count: number): Float32Array => Float32Array.from({ length: count }, (_, i) => Math.sin(12.9898 * i)), path = join(folder, 'hidden.onnx');
  await writeTree(folder, { 'x.npz': npz({ x: npy('<f4', [64, 4], some(256)) }) });
  for (const fitted of [false, true]) {
    const nodes = [makeNode('MatMul', ['x', 'w1'], ['h']), makeNode('Relu', ['h'], ['r']), fitted ? makeNode('MatMul', ['r', 'w2'], ['y']) : makeNode('Gemm', ['r', 'w2'], ['y'], { alpha: { float: 2 } })];
    await saveModel(buildModel({ nodes, initializers: [floatTensor('w1', [4, 16], some(64)), floatTensor('w2', [16, 3], some(48))], inputs: [valueInfo('x', ['n', 4], 1)], outputs: [valueInfo('y', ['n', 3], 1)] }), path);
    const finished = await run(['prune', path, '--preserve', '0.5', '--calibration', 'x.npz', '--out', 'hidden.out.onnx', '--json']);
    expect(lastOf(finished)).toMatchObject({ type: 'result', repaired: fitted, repairedLayers: Number(fitted) });
    expect(/"type":"warning","message":"Nothing was repaired: /.test(finished.stdout)).toBe(!fitted);
  }
  for (const name of ['x.npz', 'hidden.onnx', 'hidden.out.onnx']) await rm(join(folder, name));
}, 60_000);

it.skipIf(!hasShared)('prune with calibration writes a model that evaluate measures', async () => {
  const model = resolve(shared('models/cifar10/resnet20.onnx')), data = resolve(shared('data/cifar10/val5k.npz'));
  const recipe = '{"mean":[0.4914,0.4822,0.4465],"std":[0.247,0.2435,0.2616]}';
  const accuracyOf = async (...args: string[]): Promise<number> => {
    expect(await run(['prune', model, '--preserve', '0.8', '--out', 'small.onnx', ...args])).toMatchObject({ status: 0 });
    return (lastOf(await run(['evaluate', 'small.onnx', '--data', data, '--limit', '500', '--preprocess', recipe, '--json'])) as { value: number }).value;
  };
  const without = await accuracyOf('--no-reconstruct'), repaired = await accuracyOf('--calibration', data, '--preprocess', recipe);
  expect(repaired).toBeGreaterThan(without + 0.1);
});
