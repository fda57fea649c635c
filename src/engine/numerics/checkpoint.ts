import { InputError } from '../errors.ts';

const magic = 'ACCP1\n';
type Arrays = Readonly<Record<string, Float32Array>>;

/**
 * Plain data and float32 arrays as bytes: a magic line, the length of a JSON header (uint32, little-endian), the header, then the arrays.
 * @param kind what it is a checkpoint of; checked when it is read
 */
export function encodeCheckpoint(kind: string, data: unknown, arrays: Arrays): Uint8Array<ArrayBuffer> {
  const lengths = Object.entries(arrays).map(([name, array]) => [name, array.length] as const);
  const header = new TextEncoder().encode(JSON.stringify({ kind, data, lengths }));
  const start = magic.length + 4 + header.length;
  const bytes = new Uint8Array(start + 4 * lengths.reduce((sum, [, length]) => sum + length, 0));
  bytes.set(new TextEncoder().encode(magic));
  new DataView(bytes.buffer).setUint32(magic.length, header.length, true);
  bytes.set(header, magic.length + 4);
  let at = start;
  for (const array of Object.values(arrays)) {
    bytes.set(new Uint8Array(array.buffer, array.byteOffset, array.byteLength), at);
    at += array.byteLength;
  }
  return bytes;
}

/** Reads what `encodeCheckpoint` wrote; the arrays are copies. @throws {InputError} when the bytes are something else or cut short */
export function decodeCheckpoint(kind: string, bytes: Uint8Array): { data: unknown; arrays: Record<string, Float32Array> } {
  const corrupt = (): InputError => new InputError(`The checkpoint of the ${kind} is damaged or of another version; start the run again.`);
  const text = new TextDecoder();
  if (bytes.length < magic.length + 4 || text.decode(bytes.subarray(0, magic.length)) !== magic) throw corrupt();
  const headerLength = new DataView(bytes.buffer, bytes.byteOffset).getUint32(magic.length, true), start = magic.length + 4 + headerLength;
  let header: { kind?: unknown; data?: unknown; lengths?: unknown };
  try { header = JSON.parse(text.decode(bytes.subarray(magic.length + 4, start))) as typeof header; } catch { throw corrupt(); }
  if (header.kind !== kind || !Array.isArray(header.lengths)) throw corrupt();
  const arrays: Record<string, Float32Array> = {};
  let at = start;
  for (const [name, length] of header.lengths as [string, number][]) {
    if (!Number.isSafeInteger(length) || length < 0 || at + 4 * length > bytes.length) throw corrupt();
    arrays[name] = new Float32Array(bytes.slice(at, at + 4 * length).buffer);
    at += 4 * length;
  }
  if (at !== bytes.length) throw corrupt();
  return { data: header.data, arrays };
}
