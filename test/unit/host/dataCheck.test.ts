import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { makeNode } from '../../../src/engine/onnx/attributes.ts';
import { buildModel, valueInfo } from '../../../src/engine/onnx/buildModel.ts';
import { saveModel } from '../../../src/engine/onnx/modelFile.ts';
import { floatTensor } from '../../../src/engine/onnx/tensor.ts';
import { operations } from '../../../src/engine/operations.ts';
import type { Metric } from '../../../src/engine/protocol.ts';
import { checkData } from '../../../src/host/dataCheck.ts';
import { temporaryFolder, writeTree } from '../../support/files.ts';
import { npy, npz } from '../../support/npy.ts';

const folder = await temporaryFolder(), model = join(folder, 'segmenter.onnx'), labelled = join(folder, 'labelled.npz'), other = join(folder, 'other.npz');
const images = (channels: number) => npy('<f4', [6, channels, 4, 4], Float32Array.from({ length: 6 * channels * 16 }, (_, i) => Math.sin(i)));
await saveModel(buildModel({
  inputs: [valueInfo('x', ['n', 3, 4, 4])], outputs: [valueInfo('y', ['n', 5, 4, 4])], nodes: [makeNode('Conv', ['x', 'w'], ['y'], { kernel_shape: [1, 1] })],
  initializers: [floatTensor('w', [5, 3, 1, 1], Float32Array.from({ length: 15 }, (_, i) => Math.cos(i)))],
}), model);
await writeTree(folder, { 'labelled.npz': npz({ x: images(3), labels: npy('<i4', [6], Int32Array.of(0, 1, 2, 3, 4, 0)) }), 'other.npz': npz({ x: images(2), labels: npy('<i4', [6], Int32Array.of(0, 1, 2, 3, 4, 0)) }) });

/** The engine's answer, in this process; what was asked for is noted. */
const previewOf = (data: string, asked: (Metric | undefined)[] = []) => (metric: Metric | undefined) => { asked.push(metric); return operations.previewData(model, data, { metric, threads: 1, signal: new AbortController().signal }); };

describe('the images of a run', () => {
  it('are looked at by what the run measures', async () => {
    const asked: (Metric | undefined)[] = [];
    expect(await checkData(previewOf(labelled, asked), 'agreement')).toMatchObject({ preview: { metric: 'agreement', accuracy: 1, labelled: true, images: 6 } });
    expect(asked).toEqual(['agreement']);
  });

  it('judge by agreement where their labels say nothing of what the model answers', async () => {
    const { preview, problem } = await checkData(previewOf(labelled), undefined);
    expect(preview).toMatchObject({ metric: 'agreement', accuracy: 1 });
    expect(problem).toMatch(/agreement/);
  });

  it('that do not fit the model are refused for the reason that there was first', async () => {
    await expect(checkData(previewOf(other), 'top5')).rejects.toThrow(await previewOf(other)('top5').then(() => 'nothing', (error: Error) => error.message));
  });
});
