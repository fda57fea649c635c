import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { relative } from 'node:path';
import { InputError } from '../errors.ts';
import { openDataset } from './openDataset.ts';

/** What tells data from others: the contents of the file that is named, and the files that belong to it. */
export interface Identity { readonly path: string; readonly sizeBytes: number; readonly sha256: string }

/** Up to so many files that belong to data are told apart by their contents, more by their names and sizes: millions of images would take hours. */
const fewFiles = 16;
/** Files that are looked at at the same time. */
const atOnce = 64;

/** SHA-256 of a file's contents, in hexadecimal. */
export async function sha256OfFile(path: string): Promise<string> {
  const hash = createHash('sha256');
  for await (const chunk of createReadStream(path, { highWaterMark: 2 ** 20 })) hash.update(chunk as Buffer);
  return hash.digest('hex');
}

/** The files that a data set is made of beside the one that is named; none where it can't be opened: whoever reads it says why. */
async function filesBeside(path: string): Promise<readonly string[]> {
  const dataset = await openDataset(path).catch(() => undefined);
  await dataset?.close();
  return (dataset?.files ?? []).filter((file) => file !== path);
}

/** @param path a file or a folder that exists; links are followed @throws {InputError} for what is neither, such as a pipe, which would be waited for */
export async function identityOf(path: string): Promise<Identity> {
  const info = await stat(path);
  if (!info.isFile() && !info.isDirectory()) throw new InputError(`${path} is neither a file nor a folder.`);
  const own = info.isFile() ? await sha256OfFile(path) : '', files = await filesBeside(path);
  if (own !== '' && files.length === 0) return { path, sizeBytes: info.size, sha256: own };
  const hash = createHash('sha256').update(own);
  let sizeBytes = info.isFile() ? info.size : 0;
  for (let at = 0; at < files.length; at += atOnce) {
    const described = await Promise.all(files.slice(at, at + atOnce).map(async (file) => {
      const found = await stat(file).catch(() => undefined), size = found?.isFile() ? found.size : undefined;
      return { size: size ?? 0, line: `${relative(path, file)}\0${size === undefined ? 'missing' : files.length <= fewFiles ? await sha256OfFile(file) : size}\n` };
    }));
    for (const { size, line } of described) { hash.update(line); sizeBytes += size; }
  }
  return { path, sizeBytes, sha256: hash.digest('hex') };
}
