import { type FileHandle, open, rename } from 'node:fs/promises';
import { crc32 } from 'node:zlib';
import { InputError, messageOf } from '../errors.ts';
import { writeAtomically } from '../onnx/modelFile.ts';

const magic = Buffer.from('ACRUN2\n\0'), prefixBytes = magic.length + 12;
/** What is read, written and summed at once: a checkpoint of a large model is longer than one call takes. */
const pieceBytes = 2 ** 26;

/** State that a run goes on from: a JSON header and bytes whose meaning is the writer's. */
export interface Checkpoint { readonly header: unknown; readonly bytes: Uint8Array }

/** In pieces: magic, header length (uint32, little-endian) and payload length (uint64), header as JSON, payload, CRC-32 of all before. */
function* encode({ header, bytes }: Checkpoint): Generator<Uint8Array> {
  const text = Buffer.from(JSON.stringify(header)), prefix = Buffer.alloc(prefixBytes), check = Buffer.alloc(4);
  magic.copy(prefix);
  prefix.writeUInt32LE(text.length, magic.length);
  prefix.writeBigUInt64LE(BigInt(bytes.length), magic.length + 4);
  let sum = 0;
  for (const part of [prefix, text, bytes]) {
    for (let at = 0; at < part.length; at += pieceBytes) {
      const piece = part.subarray(at, at + pieceBytes);
      sum = crc32(piece, sum);
      yield piece;
    }
  }
  check.writeUInt32LE(sum);
  yield check;
}

/** @returns undefined where the file is cut short or damaged, or of another version */
async function decode(file: FileHandle): Promise<Checkpoint | undefined> {
  const { size } = await file.stat();
  let position = 0, sum = 0;
  const read = async (length: number): Promise<Buffer> => {
    const into = Buffer.from(new ArrayBuffer(length));
    for (let at = 0; at < length;) {
      const { bytesRead } = await file.read(into, at, Math.min(pieceBytes, length - at), position);
      if (bytesRead === 0) break; // it became shorter: the sum tells
      sum = crc32(into.subarray(at, at + bytesRead), sum);
      at += bytesRead;
      position += bytesRead;
    }
    return into;
  };
  if (size < prefixBytes + 4) return undefined;
  const prefix = await read(prefixBytes), headerLength = prefix.readUInt32LE(magic.length), length = Number(prefix.readBigUInt64LE(magic.length + 4));
  if (!prefix.subarray(0, magic.length).equals(magic) || size !== prefixBytes + headerLength + length + 4) return undefined;
  const text = await read(headerLength), bytes = await read(length), whole = sum;
  if ((await read(4)).readUInt32LE() !== whole) return undefined;
  try { return { header: JSON.parse(text.toString()) as unknown, bytes: new Uint8Array(bytes.buffer) }; } catch { return undefined; }
}

const previousOf = (path: string): string => `${path}.previous`;

/** Writes a checkpoint under a temporary name and renames it; the one before is kept under `NAME.previous`. */
export async function writeCheckpoint(path: string, checkpoint: Checkpoint): Promise<void> {
  const next = `${path}.next`;
  await writeAtomically(next, async (file) => { for (const piece of encode(checkpoint)) await file.writeFile(piece); });
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
    try {
      const file = await open(candidate);
      const checkpoint = await decode(file).finally(() => file.close());
      if (checkpoint) return checkpoint;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw new InputError(`Can't read the checkpoint ${candidate}: ${messageOf(error)}.`, { cause: error });
    }
  }
  return undefined;
}
