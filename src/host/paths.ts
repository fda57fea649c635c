/** Paths as people write them in settings, tasks and questions. Pure: no VS Code. */
import { realpath, stat } from 'node:fs/promises';
import { isAbsolute, join, normalize } from 'node:path';

/** A path that may be relative to a folder; what is empty stays empty. */
export const absoluteIn = (folder: string, path: string): string => (path === '' || isAbsolute(path) ? path : join(folder, path));
/** The same of what may be JSON instead, as preprocessing is. */
export const jsonOrAbsoluteIn = (folder: string, text: string): string => (text.startsWith('{') ? text : absoluteIn(folder, text));

/** Whether there is a file or a folder. */
export const isThere = (path: string): Promise<boolean> => stat(path).then(() => true, () => false);

/** The path without links; as it is where there is nothing. */
export const realOf = (path: string): Promise<string> => realpath(path).catch(() => path);

/**
 * What a path means in a workspace: absolute, relative to any of its folders, or beginning with a folder's name, which comes first where there are several folders, as VS Code shows such paths.
 * @returns the first place where there is something, or the likeliest where there is nothing; undefined for a relative path without folders
 */
export async function foundIn(folders: readonly { readonly name: string; readonly path: string }[], path: string): Promise<string | undefined> {
  if (isAbsolute(path)) return path;
  const within = folders.map((folder) => absoluteIn(folder.path, path)), whole = normalize(path);
  const named = folders.filter(({ name }) => whole.startsWith(name) && /^([\\/]|$)/.test(whole.slice(name.length))).map((folder) => join(folder.path, whole.slice(folder.name.length)));
  const places = folders.length > 1 ? [...named, ...within] : [...within, ...named];
  for (const place of places) if (await isThere(place)) return place;
  return places[0];
}
