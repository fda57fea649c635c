/** Which two models are compared where one of them is given. Pure: no VS Code. */
import { basename, dirname, extname, join } from 'node:path';
import { isThere, realOf } from './paths.ts';
import type { RunRecord } from './runStore.ts';

const beside = (path: string, name: string) => join(dirname(path), name), stemOf = (path: string) => basename(path, extname(path));
/** Where a run writes unless told otherwise. */
const compressedPath = (original: string) => beside(original, `${stemOf(original)}.compressed.onnx`);
/** The place that is proposed for the model of a candidate. */
export const episodePath = (original: string, episode: number): string => beside(original, `${stemOf(original)}.episode${episode}.onnx`);

/** The original that the name of a written model tells; undefined for other names. */
function originalPath(written: string): string | undefined {
  const stem = /^(.+)\.(compressed|episode\d+)\.onnx$/.exec(basename(written))?.[1];
  return stem === undefined ? undefined : beside(written, `${stem}.onnx`);
}

/**
 * Paths of an original and its compressed model, of which `path` is one: those of a finished run, of which the first is taken whose output is still there, or where no run knows, the file named as its
 * output, or as its original, beside it.
 */
export async function modelPair(path: string, finished: readonly Pick<RunRecord, 'modelPath' | 'out'>[]): Promise<readonly [original: string, compressed: string] | undefined> {
  const real = await realOf(path), places = await Promise.all(finished.map(async ({ modelPath, out }) => ({ modelPath, out: out!, isOriginal: await realOf(modelPath) === real, isOutput: await realOf(out!) === real })));
  const written = places.find(({ isOutput }) => isOutput), outputs = places.filter(({ isOriginal }) => isOriginal).map(({ out }) => out);
  if (written) return [written.modelPath, path];
  for (const output of [...outputs, compressedPath(path)]) if (await isThere(output)) return [path, output];
  const original = originalPath(path);
  return original !== undefined && await isThere(original) ? [original, path] : undefined;
}
