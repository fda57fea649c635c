import { stat } from 'node:fs/promises';
import { extname } from 'node:path';
import { InputError, messageOf } from '../errors.ts';
import { openCsvManifest } from './csvManifest.ts';
import type { Dataset } from './dataset.ts';
import { findIdxImages, isIdxName, openIdx } from './idx.ts';
import { openImageFolder } from './imageFolder.ts';
import { openNpyFile, openNpz } from './npz.ts';

async function openFolder(path: string): Promise<Dataset> {
  const pairs = await findIdxImages(path);
  if (pairs.length > 1) throw new InputError(`${path} holds several IDX files of images (${pairs.join(', ')}). Give the one to use.`);
  return pairs.length === 1 ? openIdx(pairs[0]!) : openImageFolder(path);
}

/**
 * Opens images or ready-made tensors: a folder of class folders, a flat folder of images, .npz, .npy, an IDX pair (either file, or their
 * folder), or a CSV of path,label. Close it when done.
 * @throws {InputError} names the file and what is wrong with it
 */
export async function openDataset(path: string): Promise<Dataset> {
  const info = await stat(path).catch((error: NodeJS.ErrnoException) => {
    throw new InputError(`Can't read the data ${path}: ${error.code === 'ENOENT' ? 'there is no such file or folder' : messageOf(error)}.`, { cause: error });
  });
  if (info.isDirectory()) return openFolder(path);
  if (!info.isFile()) throw new InputError(`${path} is neither a file nor a folder.`);
  const extension = extname(path).toLowerCase();
  if (extension === '.npz') return openNpz(path);
  if (extension === '.npy') return openNpyFile(path);
  if (extension === '.csv') return openCsvManifest(path);
  if (isIdxName(path)) return openIdx(path);
  throw new InputError(`${path} is of no known kind. Data are a folder of images, .npz, .npy, an IDX pair (...-images-idx3-ubyte) or a .csv of path,label.`);
}
