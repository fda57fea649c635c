import { crc32, deflateRawSync } from 'node:zlib';
import { Random } from '../../src/engine/numerics/random.ts';
import { npy } from './npy.ts';

const sizes = [0, 1, 2 ** 15, 65_535, 65_536, 2 ** 20, 2 ** 31 - 1, 2 ** 31, 2 ** 32 - 1];
const pick = <T>(random: Random, from: readonly T[]): T => from[random.integer(from.length)]!;

/** A PNG whose header, with a right checksum, declares any size and kind of pixels. */
export function giantPng(good: Uint8Array, seed: number): Buffer {
  const random = new Random(seed), bytes = Buffer.from(good);
  bytes.writeUInt32BE(pick(random, sizes), 16);
  bytes.writeUInt32BE(pick(random, sizes), 20);
  if (random.integer(2) === 0) { bytes[24] = pick(random, [1, 2, 4, 8, 16, 255]); bytes[25] = random.integer(8); bytes[28] = random.integer(3); }
  bytes.writeUInt32BE(crc32(bytes.subarray(12, 29)), 29);
  return bytes;
}

/** A JPEG whose frame header declares any size and number of components. */
export function giantJpeg(good: Uint8Array, seed: number): Buffer {
  const random = new Random(seed), bytes = Buffer.from(good), frame = bytes.findIndex((byte, i) => byte === 0xff && (bytes[i + 1] === 0xc0 || bytes[i + 1] === 0xc2));
  bytes.writeUInt16BE(Math.min(65_535, pick(random, sizes)), frame + 5);
  bytes.writeUInt16BE(Math.min(65_535, pick(random, sizes)), frame + 7);
  if (random.integer(3) === 0) bytes[frame + 9] = pick(random, [0, 1, 4, 255]);
  return bytes;
}

const zeros = npy('|u1', [2 ** 20, 1, 1], new Uint8Array(2 ** 20)), packed = deflateRawSync(zeros), checksum = crc32(zeros);

/**
 * A zip bomb as .npz: members that all point to the same few compressed bytes (Fifield 2019), members that declare more or less than they hold, or
 * so many members that only their number weighs. `labels` and `images` among them or not.
 */
export function npzBomb(seed: number): Buffer {
  const random = new Random(seed);
  const header = (name: string): Buffer => { const bytes = Buffer.alloc(30 + name.length); bytes.writeUInt32LE(0x04034b50, 0); bytes.writeUInt16LE(8, 8); bytes.writeUInt16LE(name.length, 26); bytes.write(name, 30, 'latin1'); return bytes; };
  const first = header('images.npy'), size = pick(random, [zeros.length, zeros.length, 0, 1, zeros.length - 1, zeros.length + 1, 2 ** 31, 2 ** 32 - 1]), compressed = pick(random, [packed.length, packed.length, 0, 2 ** 22, 2 ** 32 - 1]);
  const padding = Buffer.alloc(pick(random, [0, 0, 2 ** 22])); // so that declared compressed bytes lie inside the file, and huge declared sizes can be true
  const count = pick(random, [1, 2, 300, 8000]), named = random.integer(2) === 0;
  const directory = Buffer.concat(Array.from({ length: count }, (_, i) => {
    const name = named && i < 2 ? ['images.npy', 'labels.npy'][i]! : `m${i}.npy`, bytes = Buffer.alloc(46 + name.length);
    bytes.writeUInt32LE(0x02014b50, 0);
    bytes.writeUInt16LE(8, 10);
    for (const [at, value] of [[16, checksum], [20, compressed], [24, size]] as const) bytes.writeUInt32LE(value, at);
    bytes.writeUInt16LE(name.length, 28);
    bytes.write(name, 46, 'latin1');
    return bytes;
  }));
  const end = Buffer.alloc(22);
  end.writeUInt32LE(0x06054b50, 0);
  end.writeUInt16LE(count, 10);
  end.writeUInt32LE(directory.length, 12);
  end.writeUInt32LE(first.length + packed.length + padding.length, 16);
  return Buffer.concat([first, packed, padding, directory, end]);
}
