import { InputError } from '../errors.ts';
import { imageDataset, readLabels, tensorDataset } from './arrayDataset.ts';
import { fileSource, inflateLimitBytes } from './byteSource.ts';
import type { Dataset } from './dataset.ts';
import { openNpy } from './npyArray.ts';
import { openZip } from './zipFile.ts';

/**
 * Opens an .npz archive: `images` and optional `labels`; or, without `images`, one array for each model input by the input's name.
 * Members that are stored uncompressed (numpy.savez) are read piece by piece from the file.
 */
export async function openNpz(path: string): Promise<Dataset> {
  const file = await fileSource(path);
  const close = async (): Promise<void> => { await file.close(); };
  try {
    const members = await openZip(file, path);
    const names = [...members.keys()].filter((name) => name.endsWith('.npy')).map((name) => name.slice(0, -4));
    const array = async (name: string): Promise<Awaited<ReturnType<typeof openNpy>>> => {
      const source = await members.get(`${name}.npy`)!.open();
      return openNpy(source, `"${name}" in ${path}`);
    };
    const inputs = names.includes('images') ? ['images'] : names.filter((name) => name !== 'labels');
    if (inputs.length === 0) throw new InputError(`${path} has no array "images" (it has ${names.length > 0 ? names.map((name) => `"${name}"`).join(', ') : 'no arrays at all'}).`);
    const inflated = [...inputs, 'labels'].reduce((sum, name) => sum + (members.get(`${name}.npy`)?.inflatedBytes ?? 0), 0);
    if (inflated > inflateLimitBytes) throw new InputError(`${path} would take ${(inflated / 2 ** 30).toFixed(1)} GB of memory. Store it uncompressed (numpy.savez): it is then read piece by piece.`);
    const arrays = [];
    for (const input of inputs) arrays.push({ ...await array(input), input });
    const labels = names.includes('labels') ? await readLabels(await array('labels'), arrays[0]!.count) : undefined;
    return inputs[0] === 'images' && inputs.length === 1 ? imageDataset(path, arrays[0]!, labels, close) : tensorDataset(path, arrays, labels, close);
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
