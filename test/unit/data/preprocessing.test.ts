import { join } from 'node:path';
import { readFile, writeFile } from 'node:fs/promises';
import sharp from 'sharp';
import { describe, expect, it } from 'vitest';
import type { ImageDataset, RawImage } from '../../../src/engine/data/dataset.ts';
import { findPreprocessing } from '../../../src/engine/data/findPreprocessing.ts';
import { loadImages } from '../../../src/engine/data/loadImages.ts';
import { openDataset } from '../../../src/engine/data/openDataset.ts';
import { applyPreprocessing, checkPreprocessing, fitImage, layoutOf, layoutOfRecipe, parsePreprocessing } from '../../../src/engine/data/preprocessing.ts';
import { centreOf, resizeImage } from '../../../src/engine/data/resize.ts';
import { CancelledError, InputError } from '../../../src/engine/errors.ts';
import { Random } from '../../../src/engine/numerics/random.ts';
import { floats, Session } from '../../../src/engine/runtime/session.ts';
import { hasShared, shared, temporaryFolder } from '../../support/files.ts';

const folder = await temporaryFolder();
const chw = (data: number[], channels: number, height: number, width: number): RawImage => ({ data: Uint8Array.from(data), channels, height, width, layout: 'chw' });
const hwc = (data: number[], channels: number, height: number, width: number): RawImage => ({ ...chw(data, channels, height, width), layout: 'hwc' });
/** One pixel of red 255, green 51, blue 102. */
const pixel = hwc([255, 51, 102], 3, 1, 1);

describe('a pixel becomes a model input by', () => {
  const rows: [string, RawImage, object, number[], number[]][] = [
    ['0 to 1', pixel, {}, [1, 3, 1, 1], [1, 0.2, 0.4]],
    ['-1 to 1', pixel, { mean: [0.5], std: [0.5] }, [1, 3, 1, 1], [1, -0.6, -0.2]],
    ['0 to 255', pixel, { scale: 1 }, [1, 3, 1, 1], [255, 51, 102]],
    ['mean and std a channel', pixel, { mean: [0.5, 0.1, 0.4], std: [0.5, 0.2, 2] }, [1, 3, 1, 1], [1, 0.5, 0]],
    ['BGR, mean in BGR order', pixel, { channelOrder: 'bgr', mean: [0.4, 0.2, 0] }, [1, 3, 1, 1], [0, 0, 1]],
    ['gray of colour (BT.601)', pixel, { channelOrder: 'gray', scale: 1 }, [1, 1, 1, 1], [0.299 * 255 + 0.587 * 51 + 0.114 * 102]],
    ['gray into three channels', chw([51], 1, 1, 1), {}, [1, 3, 1, 1], [0.2, 0.2, 0.2]],
    ['transparency dropped', hwc([255, 51, 102, 9], 4, 1, 1), {}, [1, 3, 1, 1], [1, 0.2, 0.4]],
    ['pixels last in, channels first out', hwc([1, 2, 3, 4, 5, 6], 3, 1, 2), { scale: 1 }, [1, 3, 1, 2], [1, 4, 2, 5, 3, 6]],
    ['channels first in, channels last out', chw([1, 4, 2, 5, 3, 6], 3, 1, 2), { scale: 1, layout: 'nhwc' }, [1, 1, 2, 3], [1, 2, 3, 4, 5, 6]],
    ['floats as they are stored', { ...pixel, data: Float32Array.of(-1.5, 0, 7) }, { scale: 1 }, [1, 3, 1, 1], [-1.5, 0, 7]],
    ['shorter side resized, centre cropped', chw([0, 0, 10, 20, 0, 0], 1, 1, 6), { resize: 'shorter-side', cropRatio: 1, scale: 1 }, [1, 1, 1, 2], [10, 20]],
    ['stretching two pixels to one', chw([10, 20], 1, 1, 2), { scale: 1 }, [1, 1, 1, 1], [15]],
    ['stretching one pixel to two', chw([10], 1, 1, 1), { scale: 1 }, [1, 1, 1, 2], [10, 10]],
  ];
  it.each(rows)('%s', (_title, image, recipe, shape, expected) => {
    const actual = applyPreprocessing([image, image], checkPreprocessing(recipe), shape);
    expect(actual).toHaveLength(2 * expected.length);
    [...expected, ...expected].forEach((value, i) => { expect(actual[i]).toBeCloseTo(value, 4); });
  });
});

it('resizes as libvips does, to two levels of 255 away from the border (there libvips repeats pixels, PIL and we reweigh)', async () => {
  const random = new Random(1);
  const [height, width] = [37, 52];
  const pixels = Uint8Array.from({ length: height * width * 3 }, () => random.integer(256));
  for (const [newHeight, newWidth] of [[25, 31], [37, 40], [20, 52]] as const) {
    const reference = await sharp(pixels, { raw: { width, height, channels: 3 } }).resize(newWidth, newHeight, { fit: 'fill', kernel: 'linear' }).raw().toBuffer();
    const ours = resizeImage({ data: pixels, channels: 3, height, width, layout: 'hwc' }, newHeight, newWidth);
    for (let y = 2; y < newHeight - 2; y++) {
      for (let at = (y * newWidth + 2) * 3; at < (y * newWidth + newWidth - 2) * 3; at++) expect(Math.abs(ours.data[at]! - reference[at]!)).toBeLessThanOrEqual(2);
    }
  }
});

describe('a part of a resized image', () => {
  /** The part cut out of the whole resized image. */
  const cut = (image: RawImage, height: number, width: number): number[] => {
    const { top, left } = centreOf(image, { height, width }), { channels, data, layout } = image, at = (c: number, y: number, x: number): number => data[layout === 'chw' ? (c * image.height + y) * image.width + x : (y * image.width + x) * channels + c]!;
    const axes = layout === 'chw' ? [channels, height, width] as const : [height, width, channels] as const;
    return Array.from({ length: channels * height * width }, (_, i) => { const [a, b, c] = [Math.floor(i / axes[1] / axes[2]), Math.floor(i / axes[2]) % axes[1], i % axes[2]] as const; return layout === 'chw' ? at(a, top + b, left + c) : at(c, top + a, left + b); });
  };
  it.each([
    ['shrunk', 'hwc', false, [37, 52], [25, 31], [24, 24]], ['enlarged', 'chw', false, [9, 14], [25, 39], [22, 21]], ['shrunk one way and enlarged the other', 'hwc', true, [9, 52], [25, 31], [5, 30]],
    ['of the same size', 'chw', true, [12, 9], [12, 9], [7, 6]], ['as a whole', 'hwc', true, [12, 9], [7, 11], [7, 11]],
  ] as const)('is the very same as in the whole: %s', (_title, layout, float, [height, width], [newHeight, newWidth], [h, w]) => {
    const random = new Random(4), values = Array.from({ length: height * width * 3 }, () => random.integer(256));
    const image: RawImage = { data: float ? Float32Array.from(values, (value) => value / 255) : Uint8Array.from(values), channels: 3, height, width, layout };
    const part = resizeImage(image, newHeight, newWidth, centreOf({ height: newHeight, width: newWidth }, { height: h, width: w }));
    expect(part).toMatchObject({ height: h, width: w, layout });
    expect([...part.data]).toEqual(cut(resizeImage(image, newHeight, newWidth), h, w));
  });

  it('takes a moment even of a strip that would cover millions of pixels', () => {
    const strip = hwc(Array.from({ length: 3 * 90_000 }, (_, i) => i % 256), 3, 1, 90_000), begin = performance.now();
    const sized = fitImage(strip, { resize: 'shorter-side', cropRatio: 0.875 }, 224, 224);
    expect(performance.now() - begin).toBeLessThan(1000);
    expect(sized).toMatchObject({ height: 224, width: 224 });
  });
});

describe('a recipe is refused', () => {
  it.each([
    ['that is not JSON', '{"scale":', /^Preprocessing is not valid JSON/], ['in a missing file', join(folder, 'none.json'), /^Can't read the preprocessing file .*none\.json/],
    ['with an unknown field', '{"scales": 1}', /^Preprocessing: Unrecognized key: "scales"/], ['with a zero std', '{"std": [0]}', /^Preprocessing, "std": must not be 0/],
    ['of a wrong type', '{"channelOrder": "cmyk"}', /^Preprocessing, "channelOrder": Invalid option/], ['with infinite values', '{"scale": 1e999}', /^Preprocessing, "scale"/],
  ])('%s', async (_title, text, message) => {
    const failure = await parsePreprocessing(text).then(() => undefined, (error: unknown) => error);
    expect(failure).toBeInstanceOf(InputError);
    expect((failure as Error).message).toMatch(message);
  });
  it.each([
    ['whose mean does not fit the input', { mean: [1, 2] }, [1, 3, 1, 1], /has 2 values of "mean", but the model's input has 3 channels/],
    ['for images of another number of channels', {}, [1, 7, 1, 1], /The images have 3 channels, but the model's input has 7/],
    ['for an input that takes no images', {}, [1, 128], /has the shape \[1, 128\], but images need four dimensions/],
  ])('%s', (_title, recipe, shape, message) => {
    expect(() => applyPreprocessing([pixel], checkPreprocessing(recipe), shape)).toThrow(message);
  });
});

it('takes a recipe from a file', async () => {
  await writeFile(join(folder, 'recipe.json'), '{"mean":[0.5],"std":[0.25],"resize":"shorter-side"}');
  expect(await parsePreprocessing(join(folder, 'recipe.json'))).toEqual({ mean: [0.5], std: [0.25], resize: 'shorter-side', cropRatio: 0.875, channelOrder: 'rgb', scale: 1 / 255, layout: 'nchw' });
});

it.each([[[1, 32, 32, 3], 'nhwc'], [[1, 64, 64, 12], 'nhwc'], [[1, 3, 1, 1], 'nchw'], [[1, 3, 32, 32], 'nchw']] as const)('lays images out for an input of %j, where a recipe does not say how, as %s', (shape, layout) => {
  expect(layoutOfRecipe(shape)).toBe(layout);
});

it.each([[[1, 3, 32, 32], 'nchw'], [[1, 32, 32, 3], 'nhwc'], [[1, 1, 28, 28], 'nchw'], [[1, 28, 28, 1], 'nhwc'], [[1, 3, 4, 3], 'nchw'], [[1, 12, 64, 64], 'nchw'], [[1, 64, 64, 12], 'nhwc']] as const)('tells the layout of an input of %j', (shape, layout) => {
  expect(layoutOf(shape)).toBe(layout);
});

/** A data set of images in memory. */
const inMemory = (images: readonly RawImage[], labels?: readonly number[]): ImageDataset => ({
  kind: 'images', path: 'memory', count: images.length, description: 'memory', close: () => Promise.resolve(), ...(labels ? { labels: Int32Array.from(labels) } : {}),
  read: (indices) => Promise.resolve(indices.map((i) => images[i]!)),
});

describe('the preprocessing is found', () => {
  /** Random images whose red is larger than their blue; larger than the input when asked. */
  const images = (size: number, scale = 1): RawImage[] => {
    const random = new Random(2);
    return Array.from({ length: 40 }, () => {
      const bytes = Array.from({ length: size * size * 3 }, (_, i) => random.integer(i % 3 === 0 ? 256 : i % 3 === 1 ? 100 : 30));
      return scale === 1 ? hwc(bytes, 3, size, size) : { ...hwc(bytes, 3, size, size), data: Float32Array.from(bytes, (v) => v * scale) };
    });
  };
  /** A model that likes inputs of one recipe best: minus the mean squared distance to them. */
  const likes = (target: Float32Array) => (batch: Float32Array): Promise<number> => Promise.resolve(-batch.reduce((sum, value, i) => sum + (value - target[i]!) ** 2, 0));
  const cifar10 = { mean: [0.4914, 0.4822, 0.4465], std: [0.247, 0.2435, 0.2616] };
  const rows: [string, RawImage[], object, string][] = [
    ['0 to 1', images(8), {}, '0 to 1, RGB'],
    ['0 to 255 in BGR', images(8), { scale: 1, channelOrder: 'bgr' }, '0 to 255, BGR'],
    ['CIFAR-10 in RGB', images(8), cifar10, 'CIFAR-10 mean and std, RGB'],
    ['-1 to 1 in BGR', images(8), { mean: [0.5], std: [0.5], channelOrder: 'bgr' }, '-1 to 1, BGR'],
    ['centre crop', images(12), { ...cifar10, resize: 'shorter-side' }, 'CIFAR-10 mean and std, RGB, shorter side resized to input / 0.875 and centre cropped'],
    ['stretching', images(12), { ...cifar10 }, 'CIFAR-10 mean and std, RGB, resized'],
    ['floats in [0, 1]', images(8, 1 / 255), { ...cifar10, scale: 1 }, 'CIFAR-10 mean and std, RGB'],
    ['floats normalised before', images(8, 1 / 255).map((image) => ({ ...image, data: image.data.map((v) => v * 2 - 1) as Float32Array })), { scale: 1 }, 'as stored, RGB'],
  ];
  it.each(rows)('%s', async (_title, all, recipe, description) => {
    const target = applyPreprocessing(all, checkPreprocessing(recipe), [1, 3, 8, 8]);
    const found = await findPreprocessing(inMemory(all), [1, 3, 8, 8], likes(target));
    expect(found.description).toBe(description);
  });

  it('not for values above 255, unless the model tells it', async () => {
    const sixteenBits = inMemory(images(8).map((image) => ({ ...image, data: Float32Array.from(image.data, (value) => value * 257) }))), recorded = checkPreprocessing({ name: '16 bits', scale: 1 / 65535 });
    await expect(findPreprocessing(sixteenBits, [1, 3, 8, 8], () => Promise.resolve(1))).rejects.toThrow(/^The images of memory have values above 255, .* Give one with --preprocess: \{"scale":0\.0000152590\}/);
    expect(await findPreprocessing(sixteenBits, [1, 3, 8, 8], () => Promise.resolve(1), { recorded })).toMatchObject({ recipe: recorded, description: '16 bits, RGB' });
  });

  it('stops when cancelled', async () => {
    await expect(findPreprocessing(inMemory(images(8)), [1, 3, 8, 8], () => Promise.resolve(0), { signal: AbortSignal.abort() })).rejects.toThrow(CancelledError);
  });

  it.skipIf(!hasShared).each(['mobilenetv1'])('for %s on CIFAR-10, by its accuracy', async (name) => {
    const session = await Session.create(await readFile(shared(`models/cifar10/${name}.onnx`)));
    const dataset = await openDataset(shared('data/cifar10/val5k.npz'));
    if (dataset.kind !== 'images') throw new Error('not images');
    const found = await findPreprocessing(dataset, [1, 3, 32, 32], async (batch, labels) => {
      const { logits } = await session.run({ input: floats(batch, [labels!.length, 3, 32, 32]) });
      const scores = logits!.data as Float32Array;
      return labels!.reduce((right, label, i) => {
        const row = scores.subarray(i * 10, i * 10 + 10);
        return right + Number(row.indexOf(Math.max(...row)) === label);
      }, 0) / labels!.length;
    });
    expect(found.description).toBe('CIFAR-10 mean and std, RGB');
    expect(found.recipe).toMatchObject({ ...cifar10, channelOrder: 'rgb', layout: 'nchw' });
    expect(found.score).toBeGreaterThan(0.91);
    await session.release();
    await dataset.close();
  });
});

describe('loadImages', () => {
  const all = Array.from({ length: 100 }, (_, i) => chw([i, i + 1], 1, 1, 2));
  const recipe = checkPreprocessing({ scale: 1 });
  it('prepares the asked images in their order', async () => {
    const fractions: number[] = [];
    const order = [99, 0, ...Array.from({ length: 60 }, (_, i) => i + 3)];
    const loaded = await loadImages(inMemory(all), recipe, [1, 1, 1, 2], order, { progress: (fraction) => fractions.push(fraction) });
    expect([...loaded]).toEqual(order.flatMap((i) => [i, i + 1]));
    expect(fractions.at(-1)).toBe(1);
  });
  it('stops when cancelled', async () => {
    await expect(loadImages(inMemory(all), recipe, [1, 1, 1, 2], [0], { signal: AbortSignal.abort() })).rejects.toThrow(CancelledError);
  });
  it('says when the images do not fit in memory', async () => {
    await expect(loadImages(inMemory(all), recipe, [1, 3, 1e6, 1e6], [0])).rejects.toThrow(/1 images of 3 x 1000000 x 1000000 do not fit in memory/);
  });
});
