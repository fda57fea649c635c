import { basename, dirname, join } from 'node:path';
import { InputError } from '../errors.ts';
import { imageDataset, readLabels } from './arrayDataset.ts';
import { type ByteSource, fileSource, inflate, memorySource, openForReading, readBytes } from './byteSource.ts';
import type { Dataset, ElementType } from './dataset.ts';
import { type RowArray, rowArray } from './npyArray.ts';
import { readFolder } from './readFolder.ts';

/** File names of IDX pairs: train-images-idx3-ubyte, t10k-labels.idx1-ubyte.gz, emnist-letters-test-images-idx3-ubyte ... */
const pattern = /^(.*?)(images|labels)([-.]idx)[1-4]-ubyte(\.gz)?$/i;
const types: Readonly<Record<number, ElementType | undefined>> = { 0x08: 'uint8', 0x09: 'int8', 0x0b: 'int16', 0x0c: 'int32', 0x0d: 'float32', 0x0e: 'float64' };

export const isIdxName = (path: string): boolean => pattern.test(basename(path));

async function openIdxArray(path: string): Promise<{ rows: RowArray; source: ByteSource }> {
  const probe = await openForReading(path);
  const magic = new Uint8Array(2);
  try { await probe.read(magic, 0, 2, 0); } finally { await probe.close(); }
  const source = magic[0] === 0x1f && magic[1] === 0x8b ? memorySource(await inflate(path, 'gzip', undefined, path), path) : await fileSource(path);
  try {
    const header = await readBytes(source, 0, 4);
    const type = types[header[2] ?? 0], rank = header[3] ?? 0;
    if (header.length < 4 || header[0] !== 0 || header[1] !== 0 || !type || rank < 1 || rank > 4) throw new InputError(`${path} is not an IDX file (its first four bytes are wrong).`);
    const dimBytes = await readBytes(source, 4, 4 * rank);
    if (dimBytes.length < 4 * rank) throw new InputError(`${path} is cut short.`);
    const shape = Array.from({ length: rank }, (_, i) => new DataView(dimBytes.buffer).getUint32(4 * i));
    const start = 4 + 4 * rank;
    const rows = rowArray(source, start, path, type, shape, true);
    const wanted = shape.reduce((a, b) => a * b, { uint8: 1, int8: 1, int16: 2, int32: 4, float32: 4, float64: 8 }[type as 'uint8']);
    if (wanted > source.size - start) throw new InputError(`${path} declares ${shape.join(' x ')} elements, ${wanted} bytes, but has ${source.size - start}: it is cut short or damaged.`);
    return { rows, source };
  } catch (error) {
    await source.close();
    throw error;
  }
}

const namesIn = async (folder: string): Promise<string[]> => (await readFolder(folder)).map(({ name }) => name).sort();

/** The image files of the IDX pairs in a folder. @throws {InputError} when it can't be read */
export async function findIdxImages(folder: string): Promise<string[]> {
  return (await namesIn(folder)).filter((name) => pattern.exec(name)?.[2]?.toLowerCase() === 'images').map((name) => join(folder, name));
}

/** The other file of a pair, gzipped or not; undefined where there is none. */
async function partnerOf(path: string): Promise<string | undefined> {
  const [, prefix = '', kind = ''] = pattern.exec(basename(path)) ?? [];
  const wanted = kind.toLowerCase() === 'images' ? 'labels' : 'images';
  const name = (await namesIn(dirname(path))).find((other) => {
    const match = pattern.exec(other);
    return match?.[1]?.toLowerCase() === prefix.toLowerCase() && match[2]?.toLowerCase() === wanted;
  });
  return name === undefined ? undefined : join(dirname(path), name);
}

/** Opens a pair of IDX files (MNIST's format), gzipped or not, by either of them. Images without a labels file have no labels. */
export async function openIdx(path: string): Promise<Dataset> {
  const isLabels = pattern.exec(basename(path))?.[2]?.toLowerCase() === 'labels';
  const partner = await partnerOf(path);
  if (isLabels && !partner) throw new InputError(`${path} holds labels, but the file of their images is not beside it.`);
  const imagesPath = isLabels ? partner! : path, labelsPath = isLabels ? path : partner;
  const images = await openIdxArray(imagesPath);
  try {
    let labels: Int32Array | undefined;
    if (labelsPath) {
      const opened = await openIdxArray(labelsPath);
      try { labels = await readLabels(opened.rows, images.rows.count); } finally { await opened.source.close(); }
    }
    return { ...imageDataset(imagesPath, images.rows, labels, () => images.source.close()), files: labelsPath === undefined ? [imagesPath] : [imagesPath, labelsPath] };
  } catch (error) {
    await images.source.close();
    throw error;
  }
}
