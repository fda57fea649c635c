/** Folders of images, found by some of their images. Pure: no VS Code. */
import type { Dirent } from 'node:fs';
import { opendir, readdir, stat } from 'node:fs/promises';
import { basename, dirname, extname, isAbsolute, join, relative, sep } from 'node:path';

/** What the engine reads of image files. */
export const imageExtensions: readonly string[] = ['png', 'jpg', 'jpeg', 'webp', 'gif', 'tif', 'tiff', 'avif'];
/** Folders that hold no data of the user's. */
export const ignoredFolders: readonly string[] = ['node_modules', '.git', '.venv', 'venv', '__pycache__', '.auto-compress'];

/** A folder of class folders, or a flat one with its files. */
export interface ImageFolder { readonly path: string; readonly classes?: number; readonly files?: number }

/** How many class folders are looked into, and how many folders beside one of class folders. */
const mostClasses = 10, mostSiblings = 100;
/** Names of parts of a data set: a folder of nothing else has no classes. */
const part = /^(train|val|test|eval|calib)/i;

/**
 * The folders that these images stand in; one of class folders is one source. They may be the first of many images, so classes are counted in their folder, and other folders of classes are
 * looked for beside it (`train` beside `val`). @param roots nothing outside of these is looked at
 */
export async function imageFolders(images: readonly string[], roots: readonly string[]): Promise<readonly ImageFolder[]> {
  const leaves = parentsOf(images), classes = new Map<string, number>();
  const above = (folders: readonly string[]) => parentsOf(folders).filter((folder) => roots.some((root) => isWithin(root, folder)));
  const labelled = () => [...classes].flatMap(([path, count]) => (count > 0 ? [{ path, classes: count }] : []));
  const look = async (folders: readonly string[]) => { for (const folder of folders) if (!classes.has(folder)) classes.set(folder, await countClasses(folder)); };
  await look(above(leaves));
  for (const folder of above(labelled().map(({ path }) => path))) await look((await foldersOf(folder, await entriesOf(folder))).slice(0, mostSiblings));
  const flat: ImageFolder[] = [];
  for (const path of leaves.filter((leaf) => !classes.get(dirname(leaf)))) {
    const { length: files } = await entriesOf(path);
    if (files > 0) flat.push({ path, files });
  }
  return [...labelled(), ...flat];
}

/** How many class folders a folder has; 0 where it is none of class folders: each of those that are looked into holds images, and it holds none itself. */
async function countClasses(folder: string): Promise<number> {
  const entries = await entriesOf(folder);
  if (entries.some(isImage)) return 0;
  const folders = await foldersOf(folder, entries);
  if (folders.length < 2 || folders.every((path) => part.test(basename(path)))) return 0;
  for (const path of folders.slice(0, mostClasses)) if (!await holdsImages(path)) return 0;
  return folders.length;
}

async function holdsImages(folder: string): Promise<boolean> {
  try { for await (const entry of await opendir(folder)) if (isImage(entry)) return true; } catch { /* one that can't be read holds none */ }
  return false;
}

/** Folders in a folder, linked ones too, by name. */
async function foldersOf(folder: string, entries: readonly Dirent[]): Promise<readonly string[]> {
  const isFolder = async (entry: Dirent) => entry.isDirectory() || (entry.isSymbolicLink() && await stat(join(folder, entry.name)).then((info) => info.isDirectory(), () => false));
  const found: string[] = [];
  for (const entry of entries) if (!entry.name.startsWith('.') && !ignoredFolders.includes(entry.name) && await isFolder(entry)) found.push(join(folder, entry.name));
  return found.sort();
}

const entriesOf = (folder: string): Promise<readonly Dirent[]> => readdir(folder, { withFileTypes: true }).catch(() => []);
const isImage = (entry: Dirent) => !entry.isDirectory() && !entry.name.startsWith('.') && imageExtensions.includes(extname(entry.name).slice(1).toLowerCase());
const parentsOf = (paths: readonly string[]): readonly string[] => [...new Set(paths.map((path) => dirname(path)))];
function isWithin(root: string, path: string): boolean {
  const way = relative(root, path);
  return way !== '..' && !way.startsWith(`..${sep}`) && !isAbsolute(way);
}
