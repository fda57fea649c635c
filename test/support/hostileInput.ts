import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { gzipSync } from 'node:zlib';
import sharp from 'sharp';
import { openDataset } from '../../src/engine/data/openDataset.ts';
import { parsePreprocessing } from '../../src/engine/data/preprocessing.ts';
import { InputError, UserError } from '../../src/engine/errors.ts';
import { makeNode } from '../../src/engine/onnx/attributes.ts';
import { buildModel, valueInfo } from '../../src/engine/onnx/buildModel.ts';
import { encodeModel, loadModel } from '../../src/engine/onnx/modelFile.ts';
import { analyse } from '../../src/engine/pruning/analysis.ts';
import { inspectModel, inspectionTable } from '../../src/engine/pruning/inspect.ts';
import { listGraph } from '../../src/engine/pruning/listGraph.ts';
import { readPlan } from '../../src/engine/pruning/plan.ts';
import { parseCompressOptions } from '../../src/engine/protocol.ts';
import { readCheckpoint, writeCheckpoint } from '../../src/engine/run/checkpoint.ts';
import { Journal } from '../../src/engine/run/journal.ts';
import { createRunFolder, readRunFolder } from '../../src/engine/run/runFolder.ts';
import { planNotes } from '../../src/host/planText.ts';
import { reportMarkdown } from '../../src/host/reportText.ts';
import { readReport, viewOfReport } from '../../src/host/runStore.ts';
import { costAxes, layerRows, methodOf, shownPoint, tradeOffPoints } from '../../src/webview/client/state.ts';
import { giantJpeg, giantPng, npzBomb } from './hostileFiles.ts';
import { damagedModel, externalFile, hostileNetwork } from './hostileModels.ts';
import { mutate } from './mutations.ts';
import { idx, npy, npz } from './npy.ts';
import { sampleReport } from './sampleReport.ts';

/** One kind of file from outside: a good one, what damages it (bytes anywhere, where nothing else is said), and what reads it. */
export interface Target {
  readonly name: string;
  readonly file: string;
  readonly good: Uint8Array;
  readonly damage?: (seed: number) => Uint8Array;
  readonly beside?: Readonly<Record<string, Uint8Array>>;
  /** Its reader takes what is whole and leaves out the rest. */
  readonly recovers?: true;
  /** Read by native code, whose branches can't be seen from here. */
  readonly native?: true;
  read(path: string): Promise<unknown>;
}

async function readData(path: string): Promise<void> {
  const dataset = await openDataset(path);
  try { await dataset.read([0, dataset.count - 1]); } finally { await dataset.close(); }
}

/** What `inspect` does with a model: everything that is done before data are looked at. */
async function readNetwork(path: string): Promise<void> { inspectionTable(await inspectModel(path)); }

/** A report as the extension shows it: as text, and in the dashboard. */
async function showReport(path: string): Promise<void> {
  const report = await readReport(dirname(path));
  if (!report) throw new InputError('There is no report.'); // as the extension says it
  reportMarkdown(report);
  const view = viewOfReport(report, dirname(path));
  for (const axis of costAxes) tradeOffPoints(view, axis);
  layerRows(view, shownPoint(view, undefined), methodOf(view, undefined));
}

/** The kinds of files that the engine reads, made in `folder`. */
export async function hostileTargets(folder: string): Promise<Target[]> {
  const pixels = Uint8Array.from({ length: 5 * 48 }, (_, i) => (i * 37) % 256);
  const labels = npy('<i8', [5], BigInt64Array.of(0n, 1n, 2n, 1n, 0n)), images = npy('|u1', [5, 3, 4, 4], pixels);
  const image = sharp(pixels.subarray(0, 48), { raw: { width: 4, height: 4, channels: 3 } });
  const png = await image.clone().png().toBuffer(), jpeg = await image.clone().jpeg().toBuffer(), webp = await image.clone().webp().toBuffer();
  const model = buildModel({ nodes: [makeNode('Relu', ['x'], ['y']), makeNode('Flatten', ['y'], ['z'])], inputs: [valueInfo('x', ['n', 3, 4, 4], 1)], outputs: [valueInfo('z', ['n', 48], 1)] });
  const modelBytes = Buffer.concat(encodeModel(model)), network = Buffer.concat(encodeModel(hostileNetwork().model)), split = hostileNetwork(true);
  const home = join(folder, 'run-home');
  await mkdir(home, { recursive: true });
  await writeFile(join(home, 'model.onnx'), modelBytes);
  await writeFile(join(home, 'val.npz'), npz({ images, labels }));
  const run = await createRunFolder(parseCompressOptions({ model: join(home, 'model.onnx'), val: join(home, 'val.npz'), target: { metric: 'macs', value: 0.5 }, runDir: join(home, 'run') }));
  for (let episode = 1; episode <= 5; episode++) await run.append({ policy: 'agent', episode, counts: [1, 2, 3], accuracy: 0.5 });
  await run.close();
  const checkpoint = join(home, 'checkpoint.bin');
  await writeCheckpoint(checkpoint, { header: { episode: 5 }, bytes: pixels });
  const analysis = await analyse(model);
  const plan = Buffer.from(JSON.stringify({ format: 'auto-compress/plan@1', model: { path: 'model.onnx', sha256: 'a'.repeat(64) }, groups: [{ id: 'g', name: 'g', channels: 8, kept: [0, 1, 2], producers: [{ initializer: 'w', axis: 0, kept: [0, 1, 2] }], consumers: [{ initializer: 'v', axis: 1, kept: [0, 1, 2] }] }], frozen: [] }));
  return [
    { name: 'npz, deflated', file: 'a.npz', good: npz({ images, labels }), read: readData },
    { name: 'npz, stored', file: 'a.npz', good: npz({ images, labels }, 0), read: readData },
    { name: 'npz of tensors', file: 'a.npz', good: npz({ a: npy('<f4', [2, 3], new Float32Array(6)), b: npy('<i8', [2], BigInt64Array.of(1n, 2n)) }, 0), read: readData },
    { name: 'npz, zip bomb', file: 'a.npz', good: npzBomb(0), damage: npzBomb, read: readData },
    { name: 'npy', file: 'a.npy', good: images, read: readData },
    { name: 'npy, Fortran order', file: 'a.npy', good: npy('<f4', [2, 3, 2, 2], new Float32Array(24), { fortran: true, version: 2 }), read: readData },
    { name: 'IDX images', file: 'x-images-idx3-ubyte', good: idx([5, 4, 4], pixels.subarray(0, 80)), beside: { 'x-labels-idx1-ubyte': idx([5], Uint8Array.of(0, 1, 2, 1, 0)) }, read: readData },
    { name: 'IDX labels', file: 'x-labels-idx1-ubyte', good: idx([5], Uint8Array.of(0, 1, 2, 1, 0)), beside: { 'x-images-idx3-ubyte': idx([5, 4, 4], pixels.subarray(0, 80)) }, read: readData },
    { name: 'IDX, gzipped', file: 'x-images-idx3-ubyte.gz', good: gzipSync(idx([5, 4, 4], pixels.subarray(0, 80))), read: readData },
    { name: 'CSV', file: 'm.csv', good: Buffer.from('path,label\na.png,0\n"a.png",1\na.png,2\n'), beside: { 'a.png': png }, read: readData },
    { name: 'PNG', file: 'x/a.png', good: png, native: true, read: (path) => readData(join(path, '../..')) },
    { name: 'PNG of any declared size', file: 'x/a.png', good: png, native: true, damage: (seed) => giantPng(png, seed), read: (path) => readData(join(path, '../..')) },
    { name: 'JPEG', file: 'x/a.jpg', good: jpeg, native: true, read: (path) => readData(join(path, '../..')) },
    { name: 'JPEG of any declared size', file: 'x/a.jpg', good: jpeg, native: true, damage: (seed) => giantJpeg(jpeg, seed), read: (path) => readData(join(path, '../..')) },
    { name: 'WebP', file: 'x/a.webp', good: webp, native: true, read: (path) => readData(join(path, '../..')) },
    { name: 'preprocessing', file: 'recipe.json', good: Buffer.from('{"resize":"shorter-side","mean":[0.5,0.4,0.3],"std":[0.25],"scale":0.0039,"layout":"nchw"}'), read: parsePreprocessing },
    { name: 'journal', recovers: true, file: 'journal.ndjson', good: await readFile(join(home, 'run/journal.ndjson')), read: async (path) => { await (await Journal.open(path)).journal.close(); } },
    { name: 'checkpoint', recovers: true, file: 'checkpoint.bin', good: await readFile(checkpoint), read: readCheckpoint },
    { name: 'options of a run', file: 'options.json', good: await readFile(join(home, 'run/options.json')), read: (path) => readRunFolder(join(path, '..')) },
    { name: 'plan', file: 'plan.json', good: plan, read: (path) => readPlan(path, analysis, 'a'.repeat(64)) },
    { name: 'plan in an editor', recovers: true, file: 'plan.json', good: plan, read: async (path) => planNotes(await readFile(path, 'utf8')) },
    { name: 'report', file: 'report.json', good: Buffer.from(JSON.stringify(sampleReport)), read: showReport },
    { name: 'ONNX model', file: 'model.onnx', good: modelBytes, read: loadModel },
    { name: 'ONNX network', file: 'model.onnx', good: network, read: readNetwork },
    { name: 'ONNX network, structure', file: 'model.onnx', good: network, damage: damagedModel, read: readNetwork },
    { name: 'ONNX network, external data', file: 'model.onnx', good: Buffer.concat(encodeModel(split.model)), damage: (seed) => damagedModel(seed, true), beside: { [externalFile]: split.weights }, read: readNetwork },
    { name: 'ONNX network as text', file: 'model.onnx', good: network, damage: (seed) => (seed % 2 === 0 ? mutate(network, seed) : damagedModel(seed)), read: listGraph },
  ];
}

/** What came of an input: read, refused with a clear error, or what was thrown instead or left behind. */
export type Outcome = 'read' | 'refused' | { readonly unclear: string } | { readonly left: string };

/** The file of an input in `folder`. */
export const inputPath = ({ file }: Target, folder: string): string => join(folder, file);
const filesIn = async (folder: string): Promise<string[]> => (await readdir(folder, { recursive: true })).sort();

/** Writes a file and reads it; everything is removed afterwards. */
export async function tryBytes(target: Target, bytes: Uint8Array, folder: string): Promise<Outcome> {
  const path = inputPath(target, folder);
  await mkdir(dirname(path), { recursive: true });
  await writeFile(path, bytes);
  for (const [name, content] of Object.entries(target.beside ?? {})) await writeFile(join(folder, name), content);
  const before = await filesIn(folder);
  try {
    let outcome: Outcome = 'read';
    try { await target.read(path); } catch (error) {
      const { message, stack } = error as Error;
      outcome = error instanceof UserError && message !== '' && message.length < 1000 && !message.includes('\n') ? 'refused' : { unclear: stack ?? message };
    }
    const left = (await filesIn(folder)).filter((name) => !before.includes(name));
    return left.length > 0 && typeof outcome === 'string' ? { left: left.join(', ') } : outcome;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** Reads a damaged file, determined by the seed. */
export const tryHostile = (target: Target, seed: number, folder: string): Promise<Outcome> => tryBytes(target, target.damage ? target.damage(seed) : mutate(target.good, seed), folder);
