import { access, constants, realpath, stat } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { InputError } from '../errors.ts';
import { readModelFile } from './modelFile.ts';
import { filesBeside } from './modelIdentity.ts';

/** A file's path without links, also of a file that is not there yet. */
const realFile = (path: string): Promise<string> => realpath(path).catch(async () => join(await realpath(dirname(path)).catch(() => resolve(dirname(path))), basename(path)));

/** What a command writes beside the model, and reads besides it. */
export interface OtherFiles {
  /** Files that are written as well, by the option that names them. */
  readonly written?: Readonly<Record<string, string | undefined>>;
  /** Files that are read as well. */
  readonly read?: readonly (string | undefined)[];
}

/**
 * Checks, before the work and not after it, that a model can be written to `out` and other files where they belong, and that neither the original, nor a file with its weights,
 * nor anything else that is read or written goes lost by it.
 * @throws {InputError} says what is in the way
 */
export async function checkOut(out: string, original: string, { written = {}, read = [] }: OtherFiles = {}): Promise<void> {
  const bytes = await readModelFile(original).catch(() => undefined);
  if (!bytes) return; // whoever loads it says why it can't be read
  const taken = new Map([[await realFile(original), 'the model']]);
  for await (const { path } of filesBeside(bytes, original)) taken.set(await realFile(path), `${path}, which holds the model's weights`);
  const weightsBeside = taken.size > 1;
  for (const path of read) if (path !== undefined) taken.set(await realFile(path), `${path}, which is read`);
  for (const [option, path] of Object.entries({ out, ...written })) {
    if (path === undefined) continue;
    for (const file of option === 'out' ? [path, `${path}.data`] : [path]) { // saveModel puts large weights into a file beside it
      if (file === path || weightsBeside) await checkPlace(file);
      const place = await realFile(file), inTheWay = taken.get(place);
      if (inTheWay !== undefined) throw new InputError(`The output ${path} would overwrite ${inTheWay}: give another --${option}.`);
      taken.set(place, `${file}, which --${option} names`);
    }
  }
}

/** @throws {InputError} where a file can't be written: there is no folder for it, a folder has its name, or its name is too long */
async function checkPlace(path: string): Promise<void> {
  const refuse = (why: string, cause?: unknown): never => { throw new InputError(`Can't write ${path}: ${why}.`, { cause }); };
  const info = await stat(path).catch((error: NodeJS.ErrnoException) => (error.code === 'ENAMETOOLONG' ? refuse('its name is too long', error) : undefined));
  await access(`${dirname(resolve(path))}/`, constants.W_OK).catch((error: NodeJS.ErrnoException) => refuse(['ENOENT', 'ENOTDIR'].includes(error.code ?? '') ? 'its folder does not exist' : 'its folder is read-only', error));
  if (info?.isDirectory()) refuse('it is a folder');
}
