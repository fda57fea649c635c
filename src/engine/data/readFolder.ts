import type { Dirent } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { InputError, messageOf } from '../errors.ts';

/** What a folder holds, in no order; with `recursive` also what the folders in it hold, linked ones not followed. @throws {InputError} names the folder that can't be read */
export async function readFolder(path: string, { recursive = false }: { recursive?: boolean } = {}): Promise<Dirent[]> {
  try {
    return await readdir(path, { withFileTypes: true, recursive });
  } catch (error) {
    const { code, path: at = path } = error as NodeJS.ErrnoException;
    throw new InputError(`Can't read the folder ${at}: ${code === 'EACCES' || code === 'EPERM' ? 'permission denied' : messageOf(error)}.`, { cause: error });
  }
}
