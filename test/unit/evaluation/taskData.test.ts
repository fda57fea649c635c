import { join } from 'node:path';
import sharp from 'sharp';
import { afterAll, describe, expect, it } from 'vitest';
import type { Dataset } from '../../../src/engine/data/dataset.ts';
import { openDataset } from '../../../src/engine/data/openDataset.ts';
import { Judge } from '../../../src/engine/evaluation/judge.ts';
import { loadSamples, loadTaskData, prepare, prepareAlike, taskInputDims } from '../../../src/engine/evaluation/taskData.ts';
import { makeNode } from '../../../src/engine/onnx/attributes.ts';
import { buildModel, valueInfo } from '../../../src/engine/onnx/buildModel.ts';
import { temporaryFolder, writeTree } from '../../support/files.ts';
import { npy, npz } from '../../support/npy.ts';

const folder = await temporaryFolder(), open: Dataset[] = [];
let made = 0;
afterAll(async () => { for (const each of open) await each.close(); });
async function opened(files: Readonly<Record<string, Uint8Array>>, name = ''): Promise<Dataset> {
  const dataset = await openDataset(join(await writeTree(join(folder, String(made++)), files), name));
  open.push(dataset);
  return dataset;
}
const picture = (width: number, height: number): Promise<Buffer> => sharp({ create: { width, height, channels: 3, background: { r: 9, g: 8, b: 7 } } }).png().toBuffer();
const small = await picture(40, 30), photograph = await picture(1600, 1200);
/** A network of one layer whose mean over the image is its answer. */
const pooling = (dims: (number | string)[]): ReturnType<typeof buildModel> => buildModel({ nodes: [makeNode('GlobalAveragePool', ['x'], ['p']), makeNode('Flatten', ['p'], ['y'])], inputs: [valueInfo('x', dims, 1)], outputs: [valueInfo('y', ['n', 3], 1)] });

describe('the size of an input that the model leaves open', () => {
  it.each<[string, Record<string, Uint8Array>, string, number[], string]>([
    ['is that of small image files', { 'a.png': small }, '', [1, 3, 30, 40], ', at 30 x 40 as the model leaves its size open'],
    ['is the usual one for photographs', { 'a.png': photograph }, '', [1, 3, 224, 224], ', at 224 x 224 as the model leaves its size open'],
    ['is that of the rows of an array, however large', { 'a.npz': npz({ images: npy('|u1', [1, 3, 600, 2], new Uint8Array(3600)) }) }, 'a.npz', [1, 3, 600, 2], ', at 600 x 2 as the model leaves its size open'],
  ])('%s, and is told', async (_title, files, name, dims, told) => {
    const dataset = await opened(files, name), model = pooling(['n', 3, 'h', 'w']), inputDims = await taskInputDims(model, dataset);
    expect(inputDims).toEqual(dims);
    for (const preprocess of [undefined, '{}']) expect((await prepare(model, dataset, inputDims, { seed: 0, ...(preprocess === undefined ? {} : { preprocess }) })).description.endsWith(told)).toBe(true);
  });

  it('is not spoken of where the model fixes it', async () => {
    const dataset = await opened({ 'a.png': small }), model = pooling(['n', 3, 16, 16]), inputDims = await taskInputDims(model, dataset);
    expect(inputDims).toEqual([1, 3, 16, 16]);
    expect((await prepare(model, dataset, inputDims, { seed: 0 })).description).not.toContain(' at ');
  });
});

describe('a recipe that is given', () => {
  const channelsLast = buildModel({ nodes: [makeNode('ReduceMean', ['x'], ['y'], { axes: [1, 2], keepdims: 0 })], inputs: [valueInfo('x', ['n', 8, 8, 3], 1)], outputs: [valueInfo('y', ['n', 3], 1)] });
  const pixel = { 'a.npz': npz({ images: npy('|u1', [1, 8, 8, 3], Uint8Array.from({ length: 192 }, (_, i) => 51 * (i % 3))) }) };

  it('has the layout of the input where it tells none', async () => {
    const dataset = await opened(pixel, 'a.npz'), preparation = await prepare(channelsLast, dataset, await taskInputDims(channelsLast, dataset), { seed: 0, preprocess: '{"mean":[0,0.2,0.2],"resize":"shorter-side"}' });
    expect(preparation.recipe?.layout).toBe('nhwc');
    expect(preparation.description).not.toContain('laid out');
    const [{ data } = { data: [] }] = (await loadSamples(dataset, preparation, [0], {})).inputs;
    [0, 0, 0.2, 0, 0, 0.2].forEach((value, i) => { expect(data[i]).toBeCloseTo(value, 6); });
  });

  it('says so where it tells another one', async () => {
    const dataset = await opened(pixel, 'a.npz'), preparation = await prepare(channelsLast, dataset, await taskInputDims(channelsLast, dataset), { seed: 0, preprocess: '{"layout":"nchw"}' }), told = ', laid out as nchw, while an input of [1, 8, 8, 3] looks like nhwc';
    expect(preparation.description).toContain(told);
    await expect(loadSamples(dataset, preparation, [0], {})).rejects.toThrow(`The images have 3 channels, but the model's input has 8${told}.`);
  });
});

it('a recipe for ready-made tensors is said to be of no effect, and refused where it can\'t be read', async () => {
  const model = pooling(['n', 3, 4, 4]), dataset = await opened({ 'a.npz': npz({ x: npy('<f4', [2, 3, 4, 4], new Float32Array(96)) }) }, 'a.npz'), dims = await taskInputDims(model, dataset);
  expect((await prepare(model, dataset, dims, { seed: 0 })).description).toBe('ready-made tensors, fed as they are');
  expect((await prepare(model, dataset, dims, { seed: 0, preprocess: '{"mean":[0.5]}' })).description).toBe('ready-made tensors, fed as they are: the recipe that was given is of no effect');
  await expect(prepare(model, dataset, dims, { seed: 0, preprocess: join(folder, 'none.json') })).rejects.toThrow(/Can't read the preprocessing file/);
});

it('an array that looks like images is asked for by the name of an input that takes none', async () => {
  const model = buildModel({ nodes: [makeNode('Relu', ['signal'], ['y'])], inputs: [valueInfo('signal', ['n', 1, 64], 1)], outputs: [valueInfo('y', ['n', 1, 64], 1)] });
  await expect(taskInputDims(model, await opened({ 'seq.npy': npy('<f4', [5, 1, 64], new Float32Array(320)) }, 'seq.npy'))).rejects.toThrow(/give its data as an \.npz with an array named "signal"\.$/);
  expect(await taskInputDims(model, await opened({ 'seq.npz': npz({ signal: npy('<f4', [5, 1, 64], new Float32Array(320)) }) }, 'seq.npz'))).toEqual([1, 1, 64]);
});

it('arrays for which a model has no input are left out', async () => {
  const model = buildModel({ nodes: [makeNode('Relu', ['x'], ['y'])], inputs: [valueInfo('x', ['n', 2], 1)], outputs: [valueInfo('y', ['n', 2], 1)] });
  const dataset = await opened({ 'a.npz': npz({ names: npy('<i8', [3], BigInt64Array.of(7n, 8n, 9n)), x: npy('<f4', [3, 2], Float32Array.of(1, 2, 3, 4, 6, 5)) }) }, 'a.npz'), options = { seed: 0 };
  const samples = await loadTaskData(dataset, await prepare(model, dataset, await taskInputDims(model, dataset), options), [0, 1, 2], options);
  expect(samples.inputs.map(({ name }) => name)).toEqual(['x']);
  expect((await Judge.create(model, samples, 'agreement')).original).toBe(1);
});

describe('another data set of a run', () => {
  it('is brought to the size of the validation images where the model leaves it open', async () => {
    const model = pooling(['n', 3, 'h', 'w']), val = await opened({ 'a.png': small }), other = await opened({ 'a.png': await picture(64, 64) });
    const samples = await loadTaskData(other, await prepareAlike(model, other, await prepare(model, val, await taskInputDims(model, val), { seed: 0 })), [0], { seed: 0 });
    expect(samples.inputs[0]!.dims).toEqual([3, 30, 40]);
  });

  it('is no images beside ready-made tensors, which do not tell how images are prepared', async () => {
    const model = pooling(['n', 3, 30, 40]), val = await opened({ 'a.npz': npz({ x: npy('<f4', [1, 3, 30, 40], new Float32Array(3600)) }) }, 'a.npz'), other = await opened({ 'a.png': small });
    await expect(prepareAlike(model, other, await prepare(model, val, await taskInputDims(model, val), { seed: 0 }))).rejects.toThrow(/holds images, but the validation data are ready-made tensors/);
  });
});

describe('an .npz of images and further arrays', () => {
  const arrays = { images: npy('<f4', [2, 1, 2, 2], Float32Array.of(1, 2, 3, 4, 5, 6, 7, 8)), sizes: npy('<f4', [2, 2], Float32Array.of(1, 2, 3, 4)), labels: npy('<i8', [2], BigInt64Array.of(1n, 0n)) };
  const named = npy('<U1', [2], new Uint8Array(8)), options = { seed: 0 };
  const model = (inputs: readonly [string, (number | string)[]][], nodes: Parameters<typeof buildModel>[0]['nodes']): ReturnType<typeof buildModel> => buildModel({ nodes, inputs: inputs.map(([name, dims]) => valueInfo(name, dims, 1)), outputs: [valueInfo('y', ['n', 2], 1)] });
  /** The mean of each column of an image, times a size: two answers a sample. */
  const two = model([['images', ['n', 1, 2, 2]], ['sizes', ['n', 2]]], [makeNode('ReduceMean', ['images'], ['m'], { axes: [1, 2], keepdims: 0 }), makeNode('Mul', ['m', 'sizes'], ['y'])]);
  const one = model([['x', ['n', 1, 2, 2]]], [makeNode('ReduceMean', ['x'], ['y'], { axes: [1, 2], keepdims: 0 })]);

  it.each([0, 6] as const)('feeds all of them to a model of several inputs, as they are (level %i)', async (level) => {
    const dataset = await opened({ 'a.npz': npz(arrays, level) }, 'a.npz'), inputDims = await taskInputDims(two, dataset);
    expect(inputDims).toEqual([1, 1, 2, 2]);
    const preparation = await prepare(two, dataset, inputDims, options), { inputs, labels } = await loadSamples(dataset, preparation, [1, 0], {});
    expect(preparation).toMatchObject({ recipe: undefined, description: 'ready-made tensors, fed as they are' });
    expect(inputs.map(({ name, data }) => [name, [...data as Float32Array]])).toEqual([['images', [5, 6, 7, 8, 1, 2, 3, 4]], ['sizes', [3, 4, 1, 2]]]);
    expect([...labels!]).toEqual([0, 1]);
  });

  it('is of images for a model of one input, whatever stands beside them', async () => {
    const dataset = await opened({ 'a.npz': npz({ ...arrays, names: named }) }, 'a.npz'), preparation = await prepare(one, dataset, await taskInputDims(one, dataset), options);
    expect(preparation.recipe).toBeDefined();
    expect((await loadSamples(dataset, preparation, [0], {})).inputs.map(({ name }) => name)).toEqual(['x']);
  });

  it('says what is missing of several inputs', async () => {
    const dataset = await opened({ 'a.npz': npz({ images: arrays.images, other: arrays.sizes }) }, 'a.npz'), alone = await opened({ 'a.npz': npz({ images: arrays.images }) }, 'a.npz');
    await expect(taskInputDims(two, dataset)).rejects.toThrow(/has no array for the model's input "sizes" \(it has "images", "other"\)\./);
    await expect(taskInputDims(two, alone)).rejects.toThrow('so images alone are not enough');
  });
});
