import { mkdir, readdir, readlink, truncate } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { gzipSync } from 'node:zlib';
import sharp from 'sharp';
import { afterAll, describe, expect, it } from 'vitest';
import { type Dataset, requireLabels } from '../../../src/engine/data/dataset.ts';
import { openDataset } from '../../../src/engine/data/openDataset.ts';
import { InputError } from '../../../src/engine/errors.ts';
import { temporaryFolder, writeTree } from '../../support/files.ts';
import { idx, npy, npz } from '../../support/npy.ts';

const folder = await temporaryFolder();
let made = 0;
const datasets: Dataset[] = [];
afterAll(async () => { for (const dataset of datasets) await dataset.close(); });
/** Writes files into a folder of their own and opens one of them (or the folder). */
async function opened(files: Readonly<Record<string, Uint8Array | string>>, name = ''): Promise<Dataset> {
  const dataset = await openDataset(join(await writeTree(join(folder, String(made++)), files), name));
  datasets.push(dataset);
  return dataset;
}
const bytes = (count: number, start = 0): Uint8Array => Uint8Array.from({ length: count }, (_, i) => (start + i) % 251);
const int64 = (...values: number[]): BigInt64Array => BigInt64Array.from(values, BigInt);
const colour = (r: number, g: number, b: number, width = 4, height = 2): Promise<Buffer> => sharp({ create: { width, height, channels: 3, background: { r, g, b } } }).png().toBuffer();
const red = await colour(200, 10, 20), green = await colour(0, 150, 30), gray = await sharp(Buffer.alloc(8, 77), { raw: { width: 4, height: 2, channels: 1 } }).png().toBuffer();
const uprightAfterRotation = await sharp(Buffer.from([1, 1, 1, 250, 250, 250]), { raw: { width: 2, height: 1, channels: 3 } }).withMetadata({ orientation: 6 }).png().toBuffer();

/** Two images of 3 x 2 x 2 whose values count from 0, as float32 numbers, whatever was stored. */
const twelve = Array.from({ length: 24 }, (_, i) => i);
const bigEndian = (array: Int16Array | Float32Array | Float64Array): Uint8Array => {
  const out = Buffer.from(array.buffer.slice(0));
  return array.BYTES_PER_ELEMENT === 2 ? out.swap16() : array.BYTES_PER_ELEMENT === 4 ? out.swap32() : out.swap64();
};
/** Element (i, j, k, l) at i + 2 * (j + 3 * (k + 2 * l)). */
const fortranOrder = (values: readonly number[]): Uint8Array => {
  const out = new Uint8Array(24);
  values.forEach((value, at) => {
    const [i, j, k, l] = [Math.floor(at / 12), Math.floor(at / 4) % 3, Math.floor(at / 2) % 2, at % 2] as const;
    out[i + 2 * (j + 3 * (k + 2 * l))] = value;
  });
  return out;
};

describe('an array of images is read the same from', () => {
  const shape = [2, 3, 2, 2];
  const rows: [string, Record<string, Uint8Array>, string][] = [
    ['an .npz with a deflated member', { 'a.npz': npz({ images: npy('|u1', shape, bytes(24)) }) }, 'a.npz'],
    ['an .npz with a stored member', { 'a.npz': npz({ images: npy('|u1', shape, bytes(24)) }, 0) }, 'a.npz'],
    ['.npy of header version 1', { 'a.npy': npy('|u1', shape, bytes(24)) }, 'a.npy'],
    ['.npy of header version 2', { 'a.npy': npy('|u1', shape, bytes(24), { version: 2 }) }, 'a.npy'],
    ['.npy of header version 3', { 'a.npy': npy('|u1', shape, bytes(24), { version: 3 }) }, 'a.npy'],
    ['little-endian float32', { 'a.npy': npy('<f4', shape, Float32Array.from(twelve)) }, 'a.npy'],
    ['big-endian float32', { 'a.npy': npy('>f4', shape, bigEndian(Float32Array.from(twelve))) }, 'a.npy'],
    ['big-endian float64', { 'a.npy': npy('>f8', shape, bigEndian(Float64Array.from(twelve))) }, 'a.npy'],
    ['big-endian int16', { 'a.npy': npy('>i2', shape, bigEndian(Int16Array.from(twelve))) }, 'a.npy'],
    ['float16', { 'a.npy': npy('<f2', shape, Uint16Array.from(twelve, (v) => (v === 0 ? 0 : (Math.floor(Math.log2(v)) + 15) * 1024 + Math.round((v / 2 ** Math.floor(Math.log2(v)) - 1) * 1024)))) }, 'a.npy'],
    ['Fortran order', { 'a.npy': npy('|u1', shape, fortranOrder(twelve), { fortran: true }) }, 'a.npy'],
  ];
  it.each(rows)('%s', async (_title, files, name) => {
    const dataset = await opened(files, name);
    if (dataset.kind !== 'images') throw new Error('not images');
    expect(dataset.count).toBe(2);
    const [second, first] = await dataset.read([1, 0]);
    expect([...first!.data, ...second!.data]).toEqual(twelve);
    expect(first).toMatchObject({ channels: 3, height: 2, width: 2, layout: 'chw' });
  });
});

describe('labels, class names and shapes come from', () => {
  const pair = { 'train-images-idx3-ubyte': idx([2, 2, 3], bytes(12)), 'train-labels-idx1-ubyte': idx([2], Uint8Array.of(4, 1)) };
  const gzipped = { 'train-images-idx3-ubyte.gz': gzipSync(pair['train-images-idx3-ubyte']), 'train-labels-idx1-ubyte.gz': gzipSync(pair['train-labels-idx1-ubyte']) };
  const fromIdx = { labels: [4, 1], first: { channels: 1, height: 2, width: 3, layout: 'chw', data: bytes(6) } };
  const rows: [string, Record<string, Uint8Array | string>, string, { labels: number[] | undefined; classNames?: string[]; first: object }][] = [
    ['a folder of class folders, sorted by name', { 'zebra/b.png': red, 'zebra/.hidden.png': red, 'ant/x/deep.png': green, 'ant/a.PNG': red, 'notes.txt': 'x' }, '', { labels: [0, 0, 1], classNames: ['ant', 'zebra'], first: { channels: 3, height: 2, width: 4, layout: 'hwc', data: new Uint8Array(Array.from({ length: 8 }, () => [200, 10, 20]).flat()) } }],
    ['a flat folder, without labels', { 'b.png': red, 'a.png': gray }, '', { labels: undefined, first: { channels: 3, height: 2, width: 4, layout: 'hwc', data: new Uint8Array(24).fill(77) } }],
    ['a photograph with an EXIF orientation', { 'a.png': uprightAfterRotation }, '', { labels: undefined, first: { channels: 3, height: 2, width: 1, layout: 'hwc', data: Uint8Array.of(1, 1, 1, 250, 250, 250) } }],
    ['an .npz with labels', { 'a.npz': npz({ images: npy('|u1', [2, 2, 2, 3], bytes(24)), labels: npy('<i8', [2], int64(7, 0)) }) }, 'a.npz', { labels: [7, 0], first: { channels: 3, height: 2, width: 2, layout: 'hwc', data: bytes(12) } }],
    ['an .npz with labels of shape [N, 1], as floats', { 'a.npz': npz({ images: npy('|u1', [2, 1, 2, 3], bytes(12)), labels: npy('<f4', [2, 1], Float32Array.of(3, 2)) }) }, 'a.npz', { labels: [3, 2], first: { channels: 1, height: 2, width: 3, layout: 'chw', data: bytes(6) } }],
    ['an IDX pair, given its images', pair, 'train-images-idx3-ubyte', fromIdx],
    ['an IDX pair, given its labels', pair, 'train-labels-idx1-ubyte', fromIdx],
    ['a gzipped IDX pair', gzipped, 'train-labels-idx1-ubyte.gz', fromIdx],
    ['the folder of an IDX pair', gzipped, '', fromIdx],
    ['IDX images without labels', { 'x-images.idx3-ubyte': idx([1, 2, 3], bytes(6)) }, 'x-images.idx3-ubyte', { ...fromIdx, labels: undefined }],
    ['a CSV with class numbers and a heading', { 'm.csv': 'path,label\nimg/a.png,3\n"img/b, c.png",0\n', 'img/a.png': red, 'img/b, c.png': green }, 'm.csv', { labels: [3, 0], first: { channels: 3 } }],
    ['a CSV with class names', { 'm.csv': 'b.png,dog\r\na.png,cat\r\n', 'a.png': red, 'b.png': green }, 'm.csv', { labels: [1, 0], classNames: ['cat', 'dog'], first: { data: new Uint8Array(Array.from({ length: 8 }, () => [0, 150, 30]).flat()) } }],
    ['a CSV of paths alone', { 'm.csv': 'a.png\n', 'a.png': red }, 'm.csv', { labels: undefined, first: { channels: 3 } }],
  ];
  it.each(rows)('%s', async (_title, files, name, expected) => {
    const dataset = await opened(files, name);
    if (dataset.kind !== 'images') throw new Error('not images');
    expect(dataset.labels && [...dataset.labels]).toEqual(expected.labels);
    expect(dataset.classNames).toEqual(expected.classNames);
    const [first] = await dataset.read([0]);
    expect(first).toMatchObject(expected.first);
  });
});

it('gives the tensors of an .npz by input name where there are no images', async () => {
  const dataset = await opened({ 'a.npz': npz({ input_ids: npy('<i8', [2, 3], int64(1, 2, 3, 4, 5, 6)), mask: npy('|b1', [2, 3], bytes(6)), labels: npy('<i4', [2], Int32Array.of(0, 1)) }) }, 'a.npz');
  if (dataset.kind !== 'tensors') throw new Error('not tensors');
  expect(dataset.inputs).toEqual([{ name: 'input_ids', type: 'int64', dims: [3] }, { name: 'mask', type: 'bool', dims: [3] }]);
  expect((await dataset.read([1]))['input_ids']).toEqual({ type: 'int64', dims: [1, 3], data: int64(4, 5, 6) });
  expect([...dataset.labels!]).toEqual([0, 1]);
  expect(dataset.description).toBe('2 samples of "input_ids" int64 [3], "mask" bool [3], 2 classes (a.npz)');
});

describe('a clear error is given for', () => {
  const images = npy('|u1', [2, 3, 2, 2], bytes(24));
  const whole = npz({ images }, 0);
  const bomb = Buffer.from(npz({ images: npy('|u1', [1, 1, 1024, 1024], new Uint8Array(2 ** 20)) }));
  const understated = Buffer.from(bomb);
  for (let at = 0; at < understated.length - 4; at++) {
    if (understated.readUInt32LE(at) === 0x02014b50) understated.writeUInt32LE(5000, at + 24); // the directory's uncompressed size
  }
  const overstated = Buffer.from(bomb);
  for (let at = 0; at < overstated.length - 4; at++) if (overstated.readUInt32LE(at) === 0x02014b50) overstated.writeUInt32LE(0xfffffff0, at + 24);
  const fourTimes = Buffer.from(npz({ a: bytes(8), b: bytes(8), c: bytes(8), d: bytes(4000) }, 0)); // four members that claim 2 GB each, of the few bytes there are
  const overlapping = Buffer.from(fourTimes);
  for (let at = 0; at < fourTimes.length - 4; at++) {
    if (fourTimes.readUInt32LE(at) !== 0x02014b50) continue;
    for (const [archive, compressed] of [[fourTimes, 800], [overlapping, 4000]] as const) { archive.writeUInt16LE(8, at + 10); archive.writeUInt32LE(compressed, at + 20); archive.writeUInt32LE(0x7fffffff, at + 24); }
  }
  const flipped = Buffer.from(npz({ images }));
  for (let at = 0; at < flipped.length - 4; at++) if (flipped.readUInt32LE(at) === 0x02014b50) flipped[at + 16]! ^= 1; // the checksum
  const rows: [string, Record<string, Uint8Array | string>, string, RegExp][] = [
    ['no such file', {}, 'nothing.npz', /Can't read the data .*nothing\.npz: there is no such file or folder\./],
    ['an unknown kind of file', { 'a.txt': 'x' }, 'a.txt', /a\.txt is of no known kind\. Data are a folder of images, \.npz/],
    ['an empty folder', {}, '', /holds no images \(\.png, .*neither in itself nor in class folders/],
    ['class folders and images mixed', { 'a/x.png': red, 'y.png': red }, '', /holds both class folders and images \(such as .*y\.png\)/],
    ['two IDX pairs in one folder', { 'train-images-idx3-ubyte': idx([1, 1, 1], bytes(1)), 't10k-images-idx3-ubyte': idx([1, 1, 1], bytes(1)) }, '', /holds several IDX files of images/],
    ['a text named .npz', { 'a.npz': 'hello' }, 'a.npz', /a\.npz is not a readable \.npz \(zip\) file: it has no list of members; it may be cut short\./],
    ['an .npz cut short at its end', { 'a.npz': whole.subarray(0, whole.length - 30) }, 'a.npz', /it has no list of members/],
    ['an .npz cut out of its middle', { 'a.npz': Buffer.concat([whole.subarray(0, 60), whole.subarray(90)]) }, 'a.npz', /its list of members (lies outside the file|is damaged)/],
    ['an .npz whose checksum is wrong', { 'a.npz': flipped }, 'a.npz', /the checksum of "images\.npy" is wrong/],
    ['a member that inflates to more than it declares', { 'a.npz': understated }, 'a.npz', /"images\.npy" in .*a\.npz inflates to more than the 5000 bytes it declares: the file is damaged/],
    ['a member that declares more than deflate can hold', { 'a.npz': overstated }, 'a.npz', /declares 4294967280 bytes, more than \d+ compressed bytes can hold/],
    ['members that inflate the same bytes again and again', { 'a.npz': overlapping }, 'a.npz', /its members overlap/],
    ['members that are too large together', { 'a.npz': fourTimes }, 'a.npz', /a\.npz would take 8\.0 GB of memory\. Store it uncompressed/],
    ['an .npz without arrays', { 'a.npz': npz({}) }, 'a.npz', /has no array "images" \(it has no arrays at all\)/],
    ['an .npz with labels alone', { 'a.npz': npz({ labels: npy('<i4', [1], Int32Array.of(0)) }) }, 'a.npz', /has no array "images" \(it has "labels"\)/],
    ['images of a wrong rank', { 'a.npz': npz({ images: npy('|u1', [24], bytes(24)) }) }, 'a.npz', /"images" in .* has the shape \(24\); images are \[N, C, H, W\], \[N, H, W, C\] or \[N, H, W\]/],
    ['fewer labels than images', { 'a.npz': npz({ images, labels: npy('<i4', [1], Int32Array.of(0)) }) }, 'a.npz', /"labels" in .* has 1 labels for 2 images/],
    ['one-hot labels', { 'a.npz': npz({ images, labels: npy('|u1', [2, 10], bytes(20)) }) }, 'a.npz', /has the shape \(2, 10\); labels are one class number a sample/],
    ['a negative label', { 'a.npz': npz({ images, labels: npy('<i8', [2], int64(0, -1)) }) }, 'a.npz', /label -1 of image 1 is not a class number/],
    ['a label that is not a number', { 'a.npz': npz({ images, labels: npy('<f4', [2], Float32Array.of(0.5, 1)) }) }, 'a.npz', /label 0\.5 of image 0 is not a class number/],
    ['an array of Python objects', { 'a.npy': npy('|O', [2], bytes(16)) }, 'a.npy', /holds Python objects, which are never loaded/],
    ['an array of records', { 'a.npy': npy("[('a', '<i4')]", [2], bytes(8)) }, 'a.npy', /has the element type of a record/],
    ['an array of strings', { 'a.npy': npy('<U5', [2], bytes(40)) }, 'a.npy', /has the element type <U5/],
    ['an .npy of a future version', { 'a.npy': Buffer.concat([npy('|u1', [2], bytes(2)).subarray(0, 6), Buffer.of(9), npy('|u1', [2], bytes(2)).subarray(7)]) }, 'a.npy', /is of \.npy version 9/],
    ['an .npy that declares more than it has', { 'a.npy': npy('<f4', [2, 3, 1000, 1000], bytes(24)) }, 'a.npy', /declares the shape \(2, 3, 1000, 1000\) of float32, 24000000 bytes, but has 24: it is cut short or damaged/],
    ['an .npy whose size overflows', { 'a.npy': npy('<f4', [], bytes(24), { shapeText: '(9999999999999999, 9999999999999999)' }) }, 'a.npy', /it is cut short or damaged/],
    ['an empty array', { 'a.npz': npz({ images: npy('|u1', [0, 3, 2, 2], bytes(0)) }) }, 'a.npz', /is empty: its shape is \(0, 3, 2, 2\)/],
    ['a text named .npy', { 'a.npy': 'hello world' }, 'a.npy', /a\.npy is not a NumPy \.npy array/],
    ['inputs of different lengths', { 'a.npz': npz({ a: npy('|u1', [2, 2], bytes(4)), b: npy('|u1', [3, 2], bytes(6)) }) }, 'a.npz', /"a" has 2 samples, but "b" has 3/],
    ['IDX labels without their images', { 'x-labels-idx1-ubyte': idx([2], bytes(2)) }, 'x-labels-idx1-ubyte', /the file of their images is not beside it/],
    ['an IDX file cut short', { 'x-images-idx3-ubyte': idx([5, 2, 2], bytes(3)) }, 'x-images-idx3-ubyte', /declares 5 x 2 x 2 elements, 20 bytes, but has 3/],
    ['an IDX file with a wrong start', { 'x-images-idx3-ubyte': 'text' }, 'x-images-idx3-ubyte', /is not an IDX file/],
    ['a broken gzip file', { 'x-images-idx3-ubyte.gz': Buffer.of(0x1f, 0x8b, 8, 0, 1, 2, 3) }, 'x-images-idx3-ubyte.gz', /can't be decompressed .*: the file is damaged/],
    ['a CSV that lists a missing image', { 'm.csv': 'nothing.png,1\n' }, 'm.csv', /lists .*nothing\.png, which does not exist\. Paths are relative to the CSV/],
    ['a CSV without a label', { 'm.csv': 'a.png,1\nb.png,\n', 'a.png': red }, 'm.csv', /m\.csv, row 2: the label of b\.png is missing/],
    ['a CSV with a row of another width', { 'm.csv': 'a.png,1\nb.png\n', 'a.png': red }, 'm.csv', /m\.csv, row 2: expected path,label, got "b\.png"/],
    ['a CSV with broken quotes', { 'm.csv': 'a.png,1\n"b.png,2\n', 'a.png': red }, 'm.csv', /Can't read the CSV .*m\.csv: Quote Not Closed/],
    ['a CSV without rows', { 'm.csv': '' }, 'm.csv', /lists no images/],
    ['a CSV with a negative label', { 'm.csv': 'a.png,-2\n', 'a.png': red }, 'm.csv', /m\.csv, row 1: label -2 of image 0 is not a class number/],
    ['a CSV with a fraction for a label', { 'm.csv': 'path,label\na.png,1e0\nb.png,0.5\n', 'a.png': red }, 'm.csv', /m\.csv, row 3: label 0\.5 of image 1 is not a class number/],
    ['a CSV with a name among numbers', { 'm.csv': 'path,label\na.png,10\nb.png,2\nc.png,n/a\n', 'a.png': red }, 'm.csv', /m\.csv, row 4: the label "n\/a" is no number, but that of the first image \("10"\) is one\. Labels are all class numbers, or all names\./],
    ['a CSV with a number among names', { 'm.csv': 'a.png,cat\nb.png,2\n', 'a.png': red }, 'm.csv', /m\.csv, row 2: the label "2" is a number, but that of the first image \("cat"\) is none/],
  ];
  it.each(rows)('%s', async (_title, files, name, message) => {
    const failure = await opened(files, name).then(() => undefined, (error: unknown) => error);
    expect(failure).toBeInstanceOf(InputError);
    expect((failure as Error).message).toMatch(message);
    expect((failure as Error).message).not.toContain('\n');
  });

  it.each([
    ['a text named .png', Buffer.from('no image')], ['an image cut short', red.subarray(0, red.length - 20)],
    ['an image of giant declared size', (() => { const giant = Buffer.from(red); giant.writeUInt32BE(60_000, 16); giant.writeUInt32BE(60_000, 20); return giant; })()],
    ['an empty file', Buffer.alloc(0)],
  ])('%s, naming the file, when it is read', async (_title, content) => {
    const dataset = await opened({ 'cat/good.png': red, 'cat/odd.png': content });
    await expect(dataset.read([0])).resolves.toHaveLength(1);
    const failure = await dataset.read([1]).then(() => undefined, (error: unknown) => error);
    expect(failure).toBeInstanceOf(InputError);
    expect((failure as Error).message).toMatch(/^Can't read the image .*odd\.png: [^\n]*\.$/);
  });

  it('labels that are missing or outside the model\'s classes', async () => {
    const unlabelled = await opened({ 'a.npz': npz({ images }) }, 'a.npz');
    expect(() => requireLabels(unlabelled, 10)).toThrow(/has no labels\. Give a folder of class folders/);
    const labelled = await opened({ 'a.npz': npz({ images, labels: npy('|u1', [2], Uint8Array.of(3, 10)) }) }, 'a.npz');
    expect(() => requireLabels(labelled, 10)).toThrow(/label 10 of image 1 is outside the model's 10 classes \(0 to 9\)/);
    expect([...requireLabels(labelled, 11)]).toEqual([3, 10]);
  });
});

it('reads a stored member from the file without holding the array', async () => {
  const count = 20_000, images = new Uint8Array(count * 3072);
  for (let i = 0; i < count; i++) images[i * 3072] = i % 256;
  const dataset = await opened({ 'big.npz': npz({ images: npy('|u1', [count, 3, 32, 32], images) }, 0) }, 'big.npz');
  if (dataset.kind !== 'images') throw new Error('not images');
  const read = await dataset.read([19_999, 5, 6, 7]);
  expect(read.map(({ data }) => data[0])).toEqual([19_999 % 256, 5, 6, 7]);
  expect(read[0]!.data.buffer.byteLength).toBe(4 * 3072);
});

it.skipIf(process.platform === 'win32')('says of a sample that no memory holds how large it is', async () => {
  const name = 'huge.npy', path = await writeTree(join(folder, 'huge'), { [name]: npy('|u1', [1, 1, 2 ** 20, 2 ** 20], bytes(1)) });
  await truncate(join(path, name), 2 ** 40 + 4096); // sparse, which it is not on Windows
  const dataset = await openDataset(join(path, name));
  datasets.push(dataset);
  await expect(dataset.read([0])).rejects.toThrow(/1 samples of .*huge\.npy do not fit in memory \(1024\.0 GB\)/);
});

it('refuses strips, which are small files that take minutes to resize', async () => {
  const dataset = await opened({ 'strip.png': await colour(1, 2, 3, 1, 66_000) });
  await expect(dataset.read([0])).rejects.toThrow(/^Can't read the image .*strip\.png: it has 1 x 66000 pixels, a side longer than 65535\.$/);
});

it('gives photographs reduced to twice the size they are wanted for, smaller ones as they are', async () => {
  const dataset = await opened({ 'large.png': await colour(10, 20, 30, 400, 200), 'small.png': await colour(1, 2, 3, 30, 20) });
  if (dataset.kind !== 'images') throw new Error('not images');
  const [large, small] = await dataset.read([0, 1], { height: 16, width: 16 });
  expect(large).toMatchObject({ width: 64, height: 32 });
  expect([...large!.data.subarray(0, 3)]).toEqual([10, 20, 30]);
  expect(small).toMatchObject({ width: 30, height: 20, data: new Uint8Array(Array.from({ length: 600 }, () => [1, 2, 3]).flat()) });
});

it('refuses an empty class folder beside others, and takes folders without images for none where all images are outside', async () => {
  const path = await writeTree(join(folder, 'with-empty'), { 'b/x.png': red });
  await mkdir(join(path, 'a'));
  await expect(openDataset(path)).rejects.toThrow(/The class folder .*a holds no images\. Classes are counted by their folders/);
  expect(await opened({ 'x.png': red, 'annotations/x.xml': '' })).toMatchObject({ count: 1 });
});

it('leaves out hidden folders, in which programs keep copies of images, also those in class folders', async () => {
  const dataset = await opened({ '.cache/x.png': red, 'a/x.png': red, 'a/.ipynb_checkpoints/x-checkpoint.png': red, 'a/b.c/y.png': red, 'a/b.c/.old/z/y.png': red, 'b/.y.png': red, 'b/x.png': red });
  expect(dataset.files!.map((file) => relative(dataset.path, file).replaceAll('\\', '/'))).toEqual(['a/b.c/y.png', 'a/x.png', 'b/x.png']);
});

it('takes the first row of a CSV for an image where that file is there, whatever its name', async () => {
  const dataset = await opened({ 'm.csv': 'noext,3\nb.png,4\n', noext: red, 'b.png': green }, 'm.csv');
  expect([...dataset.labels!]).toEqual([3, 4]);
});

it.skipIf(process.platform !== 'linux')('leaves no file open where it is refused', async () => {
  const openFiles = async (): Promise<string[]> => (await Promise.all((await readdir('/proc/self/fd')).map((fd) => readlink(join('/proc/self/fd', fd)).catch(() => '')))).filter((name) => name.startsWith(folder));
  for (const name of ['x.csv', 'x.npz', 'x.npy', 'x-images-idx3-ubyte', 'x-images-idx3-ubyte.gz']) {
    const before = await openFiles(), path = await writeTree(join(folder, 'refused'), { [name]: 'a.png,"1\nb"b.png,2\n'.repeat(9999) });
    await expect(openDataset(join(path, name))).rejects.toThrow(InputError);
    await expect.poll(openFiles).toEqual(before);
  }
});
