import type { Dirent } from 'node:fs';
import { stat } from 'node:fs/promises';
import { join, relative, sep } from 'node:path';
import { InputError } from '../errors.ts';
import { describe } from './arrayDataset.ts';
import { checkIndices, type ImageDataset } from './dataset.ts';
import { isImageName, readImageFiles } from './imageFile.ts';
import { readFolder } from './readFolder.ts';

const byName = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);
const isFolder = async (parent: string, entry: Dirent): Promise<boolean> =>
  entry.isDirectory() || (entry.isSymbolicLink() && ((await stat(join(parent, entry.name)).catch(() => undefined))?.isDirectory() ?? false));

/** Image files under a folder, sorted by path; linked folders below it are not followed, and hidden ones, in which programs keep copies, left out. */
async function imagesUnder(folder: string): Promise<string[]> {
  const entries = await readFolder(folder, { recursive: true });
  const isHidden = ({ parentPath }: Dirent): boolean => relative(folder, parentPath).split(sep).some((part) => part.startsWith('.'));
  return entries.filter((entry) => !entry.isDirectory() && isImageName(entry.name) && !isHidden(entry)).map((entry) => join(entry.parentPath, entry.name)).sort(byName);
}

/**
 * Opens a folder of images: sub-folders are the classes, in the order of their names; a folder without class folders is unlabelled.
 * Only the list of names is held; images are decoded when they are read.
 * @throws {InputError} where some sub-folders hold images and others none: whether those are classes decides the numbers of all that follow
 */
export async function openImageFolder(path: string): Promise<ImageDataset> {
  const entries = await readFolder(path);
  const classNames: string[] = [], empty: string[] = [];
  const files: string[] = [], labels: number[] = [];
  for (const entry of entries.sort((a, b) => byName(a.name, b.name))) {
    if (entry.name.startsWith('.') || !await isFolder(path, entry)) continue;
    const images = await imagesUnder(join(path, entry.name));
    if (images.length === 0) { empty.push(entry.name); continue; }
    for (const image of images) { files.push(image); labels.push(classNames.length); }
    classNames.push(entry.name);
  }
  const flat = entries.filter((entry) => !entry.isDirectory() && isImageName(entry.name)).map(({ name }) => join(path, name));
  if (classNames.length === 0) {
    if (flat.length === 0) throw new InputError(`The folder ${path} holds no images (.png, .jpg, .webp, .gif, .tif, .avif), neither in itself nor in class folders.`);
    return imageFiles(path, flat, undefined, undefined);
  }
  if (flat.length > 0) throw new InputError(`The folder ${path} holds both class folders and images (such as ${flat[0]}). Move the images into a class folder.`);
  if (empty.length > 0) throw new InputError(`The class folder ${join(path, empty[0]!)} holds no images. Classes are counted by their folders: put an image into it, move it away if it is no class, or give a .csv of path,label with the class numbers.`);
  return imageFiles(path, files, Int32Array.from(labels), classNames);
}

/** A data set over image files, decoded as they are read. */
export function imageFiles(path: string, files: readonly string[], labels: Int32Array | undefined, classNames: readonly string[] | undefined): ImageDataset {
  return {
    kind: 'images', path, files, count: files.length, ...(labels ? { labels } : {}), ...(classNames ? { classNames } : {}),
    description: describe(path, files.length, 'image files', labels, classNames),
    close: () => Promise.resolve(),
    read: (indices, covering) => {
      checkIndices(indices, files.length);
      return readImageFiles(indices.map((i) => files[i]!), covering);
    },
  };
}
