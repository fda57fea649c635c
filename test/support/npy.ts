import { zipSync } from 'fflate';

export interface NpyOptions { readonly version?: 1 | 2 | 3; readonly fortran?: boolean; readonly shapeText?: string }

/** The bytes of an .npy file (NEP 1), written independently of the reader. `data` are the element bytes in file order. */
export function npy(descr: string, shape: readonly number[], data: ArrayBufferView, { version = 1, fortran = false, shapeText }: NpyOptions = {}): Uint8Array {
  const shapes = shapeText ?? `(${shape.join(', ')}${shape.length === 1 ? ',' : ''})`;
  const fixed = version === 1 ? 10 : 12;
  let header = `{'descr': ${descr.startsWith('[') ? descr : `'${descr}'`}, 'fortran_order': ${fortran ? 'True' : 'False'}, 'shape': ${shapes}, }`;
  header = header.padEnd(Math.ceil((fixed + header.length + 1) / 64) * 64 - fixed - 1) + '\n';
  const start = Buffer.alloc(fixed);
  start.write('\x93NUMPY', 'latin1');
  start[6] = version;
  if (version === 1) start.writeUInt16LE(header.length, 8); else start.writeUInt32LE(header.length, 8);
  return Buffer.concat([start, Buffer.from(header, 'utf8'), new Uint8Array(data.buffer, data.byteOffset, data.byteLength)]);
}

/** An .npz file of named .npy arrays. @param level 0 stores them, as numpy.savez does; 6 deflates them, as numpy.savez_compressed */
export const npz = (arrays: Readonly<Record<string, Uint8Array>>, level: 0 | 6 = 6): Uint8Array =>
  zipSync(Object.fromEntries(Object.entries(arrays).map(([name, bytes]) => [`${name}.npy`, bytes])), { level });

/** An IDX file of bytes: two zeros, the type, the rank, big-endian dims. */
export function idx(dims: readonly number[], data: Uint8Array, type = 0x08): Uint8Array {
  const header = Buffer.alloc(4 + 4 * dims.length);
  header[2] = type;
  header[3] = dims.length;
  dims.forEach((dim, i) => header.writeUInt32BE(dim, 4 + 4 * i));
  return Buffer.concat([header, data]);
}
