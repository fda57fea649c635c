/** Which files of a folder are a run's own, and how they go. Loads nothing heavy: the host deletes runs by it. */
import { readdir, rm, rmdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { readFolder } from '../data/readFolder.ts';
import { takeLock } from './lock.ts';

/** Names of the files that runs make in their folder. */
const ownFile = /^((options|plan|pareto-.+\.plan|report|latency-table)\.json|journal\.ndjson|checkpoint.*\.bin.*|reconstructed\.onnx(\.data)?)$/;
/** Names under which a run that is killed leaves what it was writing. */
const torn = /^(lock\.|\.auto-compress-\d+-)[0-9a-f]{8}\.tmp$/;

/** Names of the files of a folder that are a run's own. */
export const ownFiles = async (path: string): Promise<string[]> => (await readFolder(path)).map(({ name }) => name).filter((name) => ownFile.test(name));

/** Removes a run's own files, torn ones too, from its folder, and nothing else. */
export async function removeOwnFiles(path: string): Promise<void> {
  for (const name of (await readdir(path)).filter((each) => ownFile.test(each) || torn.test(each))) await rm(join(path, name), { force: true });
}

/**
 * Deletes a run: its own files, and its folder where that leaves it empty; a model or whatever else was put there stays. A folder that is gone is no error.
 * @throws {InputError} names the process that works there; then nothing is deleted
 */
export async function deleteRun(path: string): Promise<void> {
  if (!await stat(path).catch(() => undefined)) return;
  const unlock = await takeLock(join(path, 'lock'));
  try { await removeOwnFiles(path); } finally { await unlock(); }
  await rmdir(path).catch(() => undefined); // not empty
}
