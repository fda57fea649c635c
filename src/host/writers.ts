/** Whose file stands at a path: runs of a model write to one place, one over another, unless told otherwise. Pure: no VS Code. */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import type { Run } from './runManager.ts';

/** The runs, of those given, that wrote what stands at `path` now. A run of which it is not known what it wrote is taken at its word. */
export async function writersOf(path: string, runs: readonly Run[]): Promise<readonly Run[]> {
  const sha256 = await sha256Of(path);
  return sha256 === undefined ? [] : runs.filter(({ record }) => record.status === 'done' && record.out === path && (record.outSha256 ?? sha256) === sha256);
}

/** SHA-256 of a file's contents; undefined where it can't be read. */
async function sha256Of(path: string): Promise<string | undefined> {
  const hash = createHash('sha256');
  try { for await (const chunk of createReadStream(path, { highWaterMark: 2 ** 20 })) hash.update(chunk as Buffer); } catch { return undefined; }
  return hash.digest('hex');
}
