import { readFile, rename } from 'node:fs/promises';
import { crc32 } from 'node:zlib';
import { InputError, messageOf } from '../errors.ts';
import { writeAtomically } from '../onnx/modelFile.ts';

const magic = Buffer.from('ACRUN1\n\0');

/** State that a run goes on from: a JSON header and bytes whose meaning is the writer's. */
export interface Checkpoint { readonly header: unknown; readonly bytes: Uint8Array }

/** magic, header length and payload length (uint32, little-endian), header as JSON, payload, CRC-32 of all before */
function encode({ header, bytes }: Checkpoint): Buffer {
  const text = Buffer.from(JSON.stringify(header));
  const lengths = Buffer.alloc(8);
  lengths.writeUInt32LE(text.length, 0);
  lengths.writeUInt32LE(bytes.length, 4);
  const body = Buffer.concat([magic, lengths, text, bytes]);
  const check = Buffer.alloc(4);
  check.writeUInt32LE(crc32(body));
  return Buffer.concat([body, check]);
}

/** @returns undefined where the bytes are cut short or damaged */
function decode(file: Buffer): Checkpoint | undefined {
  const start = magic.length + 8;
  if (file.length < start + 4 || !file.subarray(0, magic.length).equals(magic)) return undefined;
  const headerLength = file.readUInt32LE(magic.length), length = file.readUInt32LE(magic.length + 4);
  const end = start + headerLength + length;
  if (file.length !== end + 4 || crc32(file.subarray(0, end)) !== file.readUInt32LE(end)) return undefined;
  try { return { header: JSON.parse(file.toString('utf8', start, start + headerLength)) as unknown, bytes: new Uint8Array(file.subarray(start + headerLength, end)) }; } catch { return undefined; }
}

const previousOf = (path: string): string => `${path}.previous`;

/** Writes a checkpoint under a temporary name and renames it; the one before is kept under `NAME.previous`. */
export async function writeCheckpoint(path: string, checkpoint: Checkpoint): Promise<void> {
  const next = `${path}.next`;
  await writeAtomically(next, async (file) => { await file.writeFile(encode(checkpoint)); });
  try {
    await rename(path, previousOf(path)).catch((error: NodeJS.ErrnoException) => { if (error.code !== 'ENOENT') throw error; });
    await rename(next, path);
  } catch (error) {
    throw new InputError(`Can't write ${path}: ${messageOf(error)}.`, { cause: error });
  }
}

/** The newest checkpoint that is whole: the last, or the one before it. @returns undefined where there is none */
export async function readCheckpoint(path: string): Promise<Checkpoint | undefined> {
  for (const candidate of [path, previousOf(path)]) {
    const file = await readFile(candidate).catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return undefined;
      throw new InputError(`Can't read the checkpoint ${candidate}: ${messageOf(error)}.`, { cause: error });
    });
    const checkpoint = file && decode(file);
    if (checkpoint) return checkpoint;
  }
  return undefined;
}
