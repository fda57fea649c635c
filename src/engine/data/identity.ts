import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { readdir, stat } from 'node:fs/promises';
import { join, relative } from 'node:path';

/** What tells a file or a folder of data from another: a file's contents, a folder's names and sizes. */
export interface Identity { readonly path: string; readonly sizeBytes: number; readonly sha256: string }

/** SHA-256 of a file's contents, in hexadecimal. */
export async function sha256OfFile(path: string): Promise<string> {
  const hash = createHash('sha256');
  for await (const chunk of createReadStream(path, { highWaterMark: 2 ** 20 })) hash.update(chunk as Buffer);
  return hash.digest('hex');
}

/** @param path a file or a folder that exists */
export async function identityOf(path: string): Promise<Identity> {
  const info = await stat(path);
  if (!info.isDirectory()) return { path, sizeBytes: info.size, sha256: await sha256OfFile(path) };
  const hash = createHash('sha256');
  let sizeBytes = 0;
  const entries = (await readdir(path, { withFileTypes: true, recursive: true })).filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name)).sort();
  for (const file of entries) {
    const { size } = await stat(file);
    hash.update(`${relative(path, file)}\0${size}\n`);
    sizeBytes += size;
  }
  return { path, sizeBytes, sha256: hash.digest('hex') };
}
