/** Whose file stands at a path: runs of a model write to one place, one over another, unless told otherwise. Pure: no VS Code. */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { realOf } from './paths.ts';
import type { Run } from './runManager.ts';

/**
 * The runs, of those given, that wrote what stands at `path` now. A run of which it is not known what it wrote is taken at its word.
 * @param hash SHA-256 of a file's contents, undefined where it can't be read
 */
export async function writersOf(path: string, runs: readonly Run[], hash: (path: string) => Promise<string | undefined> = sha256Of): Promise<readonly Run[]> {
  const candidates = await whereReal(path, runs.filter(({ record }) => record.status === 'done'), ({ record }) => record.out), sha256 = candidates.length > 0 ? await hash(path) : undefined;
  return sha256 === undefined ? [] : candidates.filter(({ record }) => (record.outSha256 ?? sha256) === sha256);
}

/** The runs whose path, of those that they have, means the same file. */
export async function whereReal(path: string, runs: readonly Run[], pathOf: (run: Run) => string | undefined): Promise<readonly Run[]> {
  const real = await realOf(path), theirs = await Promise.all(runs.map((run) => { const at = pathOf(run); return at === undefined ? undefined : realOf(at); }));
  return runs.filter((_, index) => theirs[index] === real);
}

/** SHA-256 of a file's contents; undefined where it can't be read. */
export async function sha256Of(path: string): Promise<string | undefined> {
  const hash = createHash('sha256');
  try { for await (const chunk of createReadStream(path, { highWaterMark: 2 ** 20 })) hash.update(chunk as Buffer); } catch { return undefined; }
  return hash.digest('hex');
}
