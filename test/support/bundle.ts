import { mkdtemp, rm } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { build } from 'esbuild';

/** Bundles a program of the engine into a folder of its own, from where its packages resolve. @returns its path, and a function that removes it */
export async function bundle(entry: string): Promise<{ program: string; folder: string; remove: () => Promise<void> }> {
  const folder = resolve(await mkdtemp(join('node_modules', '.bundle-test-')));
  const program = join(folder, 'program.mjs');
  await build({ entryPoints: [entry], outfile: program, bundle: true, platform: 'node', format: 'esm', packages: 'external', logLevel: 'error' });
  return { program, folder, remove: () => rm(folder, { recursive: true, force: true }) };
}
