import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';

export const zooFolder = resolve('../shared/zoo');

/** What the zoo tells of a graph. `input`: a shape that it takes, its batch first. */
export interface ZooEntry { readonly input: readonly number[]; readonly nodes: number; readonly ops: Readonly<Record<string, number>> }
export const zooEntry = (name: string): ZooEntry => JSON.parse(readFileSync(join(zooFolder, `${name}.json`), 'utf8')) as ZooEntry;

/** Puts a graph of the zoo into a folder and fills in its random weights (up to 360 MB). @returns the model's path */
export async function fillZooModel(name: string, folder: string): Promise<string> {
  mkdirSync(folder, { recursive: true });
  for (const extension of ['onnx', 'json']) copyFileSync(join(zooFolder, `${name}.${extension}`), join(folder, `${name}.${extension}`));
  (await import(pathToFileURL(join(zooFolder, 'fill.mjs')).href) as { fill: (folder: string, name: string) => string }).fill(folder, name);
  return join(folder, `${name}.onnx`);
}

/** Writes made-up inputs of a zoo graph, without labels, as float32 `.npy`. @returns its path */
export function writeMadeUpInputs(name: string, folder: string, samples: number): string {
  const dims = [samples, ...zooEntry(name).input.slice(1)], values = Float32Array.from({ length: dims.reduce((a, b) => a * b, 1) }, (_, i) => Math.sin(i * 12.9898) * 1.5);
  const header = `{'descr': '<f4', 'fortran_order': False, 'shape': (${dims.join(', ')}), }`.padEnd(117) + '\n', path = join(folder, 'inputs.npy');
  writeFileSync(path, Buffer.concat([Buffer.from([0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59, 1, 0, 118, 0]), Buffer.from(header), Buffer.from(values.buffer)]));
  return path;
}
