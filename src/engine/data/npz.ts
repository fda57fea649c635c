import { InputError } from '../errors.ts';
import { imageDataset, readLabels, tensorDataset } from './arrayDataset.ts';
import { fileSource, inflateLimitBytes } from './byteSource.ts';
import type { Dataset, TensorDataset } from './dataset.ts';
import { type RowArray, openNpy } from './npyArray.ts';
import { openZip } from './zipFile.ts';

/**
 * Opens an .npz archive: `images` and optional `labels`; or one array for each model input by the input's name. What has `images` and further arrays may be either.
 * Members that are stored uncompressed (numpy.savez) are read piece by piece from the file.
 */
export async function openNpz(path: string): Promise<Dataset> {
  const file = await fileSource(path);
  const close = async (): Promise<void> => { await file.close(); };
  try {
    const members = await openZip(file, path);
    const names = [...members.keys()].filter((name) => name.endsWith('.npy')).map((name) => name.slice(0, -4));
    const array = async (name: string): Promise<RowArray> => {
      const source = await members.get(`${name}.npy`)!.open();
      return openNpy(source, `"${name}" in ${path}`);
    };
    const arraysOf = async (wanted: readonly string[]): Promise<(RowArray & { input: string })[]> => {
      const found = [];
      for (const input of wanted) found.push({ ...await array(input), input });
      return found;
    };
    const requireMemory = (used: readonly string[]): void => {
      const inflated = used.reduce((sum, name) => sum + (members.get(`${name}.npy`)?.inflatedBytes ?? 0), 0);
      if (inflated > inflateLimitBytes) throw new InputError(`${path} would take ${(inflated / 2 ** 30).toFixed(1)} GB of memory. Store it uncompressed (numpy.savez): it is then read piece by piece.`);
    };
    const others = names.filter((name) => name !== 'labels' && name !== 'images'), inputs = names.includes('images') ? ['images'] : others;
    if (inputs.length === 0) throw new InputError(`${path} has no array "images" (it has ${names.length > 0 ? names.map((name) => `"${name}"`).join(', ') : 'no arrays at all'}).`);
    requireMemory([...inputs, 'labels']);
    const arrays = await arraysOf(inputs);
    const labels = names.includes('labels') ? await readLabels(await array('labels'), arrays[0]!.count) : undefined;
    if (inputs === others) return tensorDataset(path, arrays, labels, close);
    let all: Promise<TensorDataset> | undefined;
    const withOthers = async (): Promise<TensorDataset> => {
      requireMemory(names);
      return tensorDataset(path, [...arrays, ...await arraysOf(others)], labels, close);
    };
    return { ...imageDataset(path, arrays[0]!, labels, close), ...(others.length > 0 ? { tensors: () => (all ??= withOthers()) } : {}) };
  } catch (error) {
    await close();
    throw error;
  }
}

/** Opens one .npy array: images where it has three or four dimensions, the number of samples included, otherwise ready-made tensors for the model's single input. No labels. */
export async function openNpyFile(path: string): Promise<Dataset> {
  const file = await fileSource(path);
  const close = (): Promise<void> => file.close();
  try {
    const rows = await openNpy(file, path);
    return rows.dims.length === 2 || rows.dims.length === 3 ? imageDataset(path, rows, undefined, close) : tensorDataset(path, [{ ...rows, input: '' }], undefined, close);
  } catch (error) {
    await close();
    throw error;
  }
}
