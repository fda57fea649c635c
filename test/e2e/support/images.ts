import { readFileSync, writeFileSync } from 'node:fs';
import { strFromU8, strToU8, unzipSync, zipSync } from 'fflate';

/** The first rows of one array of an .npz file (NumPy's format 1.0: magic, length of the header, header, data). */
function head(npy: Uint8Array, rows: number): Uint8Array {
  const start = 10 + (npy[8]! | (npy[9]! << 8));
  const header = strFromU8(npy.subarray(10, start));
  const [, shape = ''] = /'shape': \(([^)]*)\)/.exec(header)!;
  const dims = shape.split(',').map((part) => part.trim()).filter(Boolean).map(Number);
  const rowBytes = (npy.length - start) / dims[0]!;
  const shorter = header.replace(`(${shape})`, `(${[rows, ...dims.slice(1)].join(', ')}${dims.length === 1 ? ',' : ''})`).trimEnd().padEnd(header.length - 1) + '\n';
  const out = new Uint8Array(start + rows * rowBytes);
  out.set(npy.subarray(0, 10));
  out.set(strToU8(shorter), 10);
  out.set(npy.subarray(start, start + rows * rowBytes), start);
  return out;
}

/** Copies the first `rows` images of an .npz data set: enough for a run of seconds. */
export function copyFirstImages(from: string, to: string, rows: number): void {
  const arrays = unzipSync(readFileSync(from));
  writeFileSync(to, zipSync(Object.fromEntries(Object.entries(arrays).map(([name, npy]) => [name, head(npy, rows)])), { level: 1 }));
}
