import { type FileHandle, open } from 'node:fs/promises';
import { createReadStream } from 'node:fs';
import { Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createGunzip, createInflateRaw } from 'node:zlib';
import { InputError, messageOf } from '../errors.ts';

/** What may be inflated into memory; larger arrays must be stored uncompressed, and are then read piece by piece. */
export const inflateLimitBytes = 4 * 2 ** 30;

/** Bytes that can be read at any place: a file, a part of a file, or memory. */
export interface ByteSource {
  readonly size: number;
  /** Fills `target` from `offset`. @throws {InputError} when the source ends early */
  readInto(target: Uint8Array, offset: number): Promise<void>;
  close(): Promise<void>;
}

export function memorySource(bytes: Uint8Array, name: string): ByteSource {
  return {
    size: bytes.length,
    readInto: (target, offset) => {
      if (offset + target.length > bytes.length) return Promise.reject(new InputError(`${name} is cut short.`));
      target.set(bytes.subarray(offset, offset + target.length));
      return Promise.resolve();
    },
    close: () => Promise.resolve(),
  };
}

/** Opens a file for reading; why it can't be opened in plain words otherwise. */
export async function openForReading(path: string): Promise<FileHandle> {
  try {
    return await open(path, 'r');
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    const why = code === 'ENOENT' ? 'there is no such file' : code === 'EACCES' || code === 'EPERM' ? 'permission denied' : messageOf(error);
    throw new InputError(`Can't read ${path}: ${why}.`, { cause: error });
  }
}

export async function fileSource(path: string): Promise<ByteSource> {
  const file = await openForReading(path);
  const { size } = await file.stat();
  return {
    size,
    readInto: async (target, offset) => {
      for (let at = 0; at < target.length;) {
        const { bytesRead } = await file.read(target, at, Math.min(2 ** 30, target.length - at), offset + at);
        if (bytesRead === 0) throw new InputError(`${path} is cut short.`);
        at += bytesRead;
      }
    },
    close: () => file.close(),
  };
}

/** The part of a source from `start` on; closing it closes nothing. */
export const partOf = (source: ByteSource, start: number, size: number, name: string): ByteSource => ({
  size,
  readInto: (target, offset) => {
    if (offset + target.length > size) return Promise.reject(new InputError(`${name} is cut short.`));
    return source.readInto(target, start + offset);
  },
  close: () => Promise.resolve(),
});

/** @returns the first `length` bytes from `offset`, fewer where the source ends before */
export async function readBytes(source: ByteSource, offset: number, length: number): Promise<Uint8Array<ArrayBuffer>> {
  const bytes = new Uint8Array(Math.max(0, Math.min(length, source.size - offset)));
  await source.readInto(bytes, offset);
  return bytes;
}

/**
 * Inflates part of a file, holding what comes out and nothing else. Stops at the first byte beyond what was declared.
 * @param size declared inflated bytes; undefined where the format does not say (gzip), then the limit holds
 */
export async function inflate(path: string, range: { start: number; compressed: number } | 'gzip', size: number | undefined, name: string): Promise<Uint8Array> {
  const limit = size ?? inflateLimitBytes;
  if (limit > inflateLimitBytes) throw new InputError(`${name} would take ${(limit / 2 ** 30).toFixed(1)} GB of memory. Store it uncompressed (numpy.savez): it is then read piece by piece.`);
  if (range !== 'gzip' && limit > range.compressed * 1040 + 1024) throw new InputError(`${name} declares ${limit} bytes, more than ${range.compressed} compressed bytes can hold: the file is damaged.`);
  if (range !== 'gzip' && range.compressed === 0) throw new InputError(`${name} is empty.`);
  const pieces: Uint8Array[] = [];
  const whole = size === undefined ? undefined : new Uint8Array(size);
  let at = 0;
  const collect = new Transform({
    transform(chunk: Buffer, _encoding, done) {
      if (at + chunk.length > limit) { done(new InputError(`${name} inflates to more than ${size === undefined ? 'can be held in memory' : `the ${limit} bytes it declares: the file is damaged`}.`)); return; }
      if (whole) whole.set(chunk, at); else pieces.push(chunk);
      at += chunk.length;
      done();
    },
  });
  const input = range === 'gzip' ? createReadStream(path) : createReadStream(path, { start: range.start, end: range.start + range.compressed - 1 });
  try {
    await pipeline(input, range === 'gzip' ? createGunzip() : createInflateRaw(), collect);
  } catch (error) {
    if (error instanceof InputError) throw error;
    throw new InputError(`${name} can't be decompressed (${messageOf(error)}): the file is damaged.`, { cause: error });
  }
  if (whole && at !== whole.length) throw new InputError(`${name} inflates to ${at} bytes instead of the ${whole.length} it declares: the file is damaged.`);
  return whole ?? Buffer.concat(pieces);
}
