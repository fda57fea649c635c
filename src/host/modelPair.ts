/** Which two models are compared where one of them is given. Pure: no VS Code. */
import { basename, dirname, extname, join } from 'node:path';
import { isThere } from './paths.ts';
import type { RunRecord } from './runStore.ts';

/** Paths of an original and its compressed model, of which `path` is one: those of a finished run, of which the first is taken whose output is still there, or the file named as its output beside it. */
export async function modelPair(path: string, finished: readonly Pick<RunRecord, 'modelPath' | 'out'>[]): Promise<readonly [original: string, compressed: string] | undefined> {
  const written = finished.find(({ out }) => out === path);
  if (written) return [written.modelPath, path];
  const outputs = finished.filter(({ modelPath }) => modelPath === path).map(({ out }) => out!);
  for (const output of [...outputs, join(dirname(path), `${basename(path, extname(path))}.compressed.onnx`)]) if (await isThere(output)) return [path, output];
  return undefined;
}
