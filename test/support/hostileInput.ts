import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import sharp from 'sharp';
import { openDataset } from '../../src/engine/data/openDataset.ts';
import { parsePreprocessing } from '../../src/engine/data/preprocessing.ts';
import { UserError } from '../../src/engine/errors.ts';
import { makeNode } from '../../src/engine/onnx/attributes.ts';
import { buildModel, valueInfo } from '../../src/engine/onnx/buildModel.ts';
import { encodeModel, loadModel } from '../../src/engine/onnx/modelFile.ts';
import { analyse } from '../../src/engine/pruning/analysis.ts';
import { readPlan } from '../../src/engine/pruning/plan.ts';
import { parseCompressOptions } from '../../src/engine/protocol.ts';
import { readCheckpoint, writeCheckpoint } from '../../src/engine/run/checkpoint.ts';
import { Journal } from '../../src/engine/run/journal.ts';
import { createRunFolder, readRunFolder } from '../../src/engine/run/runFolder.ts';
import { readFile } from 'node:fs/promises';
import { mutate } from './mutations.ts';
import { idx, npy, npz } from './npy.ts';

/** One kind of file from outside: a good one, and what reads it. */
interface Target { readonly name: string; readonly file: string; readonly good: Uint8Array; readonly beside?: Readonly<Record<string, Uint8Array>>; read(path: string): Promise<unknown> }

async function readData(path: string): Promise<void> {
  const dataset = await openDataset(path);
  try { await dataset.read([0, dataset.count - 1]); } finally { await dataset.close(); }
}

/** The kinds of files that the engine reads, made in `folder`. */
export async function hostileTargets(folder: string): Promise<Target[]> {
  const pixels = Uint8Array.from({ length: 5 * 48 }, (_, i) => (i * 37) % 256);
  const labels = npy('<i8', [5], BigInt64Array.of(0n, 1n, 2n, 1n, 0n)), images = npy('|u1', [5, 3, 4, 4], pixels);
  const image = sharp(pixels.subarray(0, 48), { raw: { width: 4, height: 4, channels: 3 } });
  const png = await image.clone().png().toBuffer(), jpeg = await image.clone().jpeg().toBuffer(), webp = await image.clone().webp().toBuffer();
  const model = buildModel({ nodes: [makeNode('Relu', ['x'], ['y']), makeNode('Flatten', ['y'], ['z'])], inputs: [valueInfo('x', ['n', 3, 4, 4], 1)], outputs: [valueInfo('z', ['n', 48], 1)] });
  const modelBytes = Buffer.concat(encodeModel(model));
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
    { name: 'npy', file: 'a.npy', good: images, read: readData },
    { name: 'npy, Fortran order', file: 'a.npy', good: npy('<f4', [2, 3, 2, 2], new Float32Array(24), { fortran: true, version: 2 }), read: readData },
    { name: 'IDX images', file: 'x-images-idx3-ubyte', good: idx([5, 4, 4], pixels.subarray(0, 80)), beside: { 'x-labels-idx1-ubyte': idx([5], Uint8Array.of(0, 1, 2, 1, 0)) }, read: readData },
    { name: 'IDX labels', file: 'x-labels-idx1-ubyte', good: idx([5], Uint8Array.of(0, 1, 2, 1, 0)), beside: { 'x-images-idx3-ubyte': idx([5, 4, 4], pixels.subarray(0, 80)) }, read: readData },
    { name: 'IDX, gzipped', file: 'x-images-idx3-ubyte.gz', good: gzipSync(idx([5, 4, 4], pixels.subarray(0, 80))), read: readData },
    { name: 'CSV', file: 'm.csv', good: Buffer.from('path,label\na.png,0\n"a.png",1\na.png,2\n'), beside: { 'a.png': png }, read: readData },
    { name: 'PNG', file: 'x/a.png', good: png, read: (path) => readData(join(path, '../..')) },
    { name: 'JPEG', file: 'x/a.jpg', good: jpeg, read: (path) => readData(join(path, '../..')) },
    { name: 'WebP', file: 'x/a.webp', good: webp, read: (path) => readData(join(path, '../..')) },
    { name: 'preprocessing', file: 'recipe.json', good: Buffer.from('{"resize":"shorter-side","mean":[0.5,0.4,0.3],"std":[0.25],"scale":0.0039,"layout":"nchw"}'), read: parsePreprocessing },
    { name: 'journal', file: 'journal.ndjson', good: await readFile(join(home, 'run/journal.ndjson')), read: async (path) => { await (await Journal.open(path)).journal.close(); } },
    { name: 'checkpoint', file: 'checkpoint.bin', good: await readFile(checkpoint), read: readCheckpoint },
    { name: 'options of a run', file: 'options.json', good: await readFile(join(home, 'run/options.json')), read: (path) => readRunFolder(join(path, '..')) },
    { name: 'plan', file: 'plan.json', good: plan, read: (path) => readPlan(path, analysis, 'a'.repeat(64)) },
    { name: 'ONNX model', file: 'model.onnx', good: modelBytes, read: loadModel },
  ];
}

export type Outcome = 'read' | 'refused' | { readonly unclear: string };

/** Reads a damaged file. @returns 'read', 'refused' with a clear error, or what was thrown instead */
export async function tryHostile(target: Target, seed: number, folder: string): Promise<Outcome> {
  const path = join(folder, target.file);
  await mkdir(join(path, '..'), { recursive: true });
  await writeFile(path, mutate(target.good, seed));
  for (const [name, bytes] of Object.entries(target.beside ?? {})) await writeFile(join(folder, name), bytes);
  try {
    await target.read(path);
    return 'read';
  } catch (error) {
    const { message, stack } = error as Error;
    return error instanceof UserError && message !== '' && message.length < 1000 && !message.includes('\n') ? 'refused' : { unclear: stack ?? message };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
