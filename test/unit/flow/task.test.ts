import { cpSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { openNetwork } from '../../../src/engine/flow/network.ts';
import { type Task, openTask } from '../../../src/engine/flow/task.ts';
import { type CompressRequest, parseCompressOptions } from '../../../src/engine/protocol.ts';
import type { Samples } from '../../../src/engine/evaluation/samples.ts';
import { temporaryFolder } from '../../support/files.ts';

const val = 'examples/cifar10/validation', network = await openNetwork('examples/resnet20.onnx');
const opened = (more: Partial<CompressRequest> = {}): Promise<Task> => openTask(network, parseCompressOptions({ model: 'examples/resnet20.onnx', val, target: { metric: 'macs', value: 0.5 }, ...more }), new AbortController().signal);
/** What tells images apart: the pixels of each. */
const pictures = ({ inputs, count }: Samples): string[] => { const data = inputs[0]!.data as Float32Array, size = data.length / count; return Array.from({ length: count }, (_, i) => data.subarray(i * size, (i + 1) * size).join()); };

it('judges on none of the images that it calibrates on, where one data set has to serve for both', async () => {
  const { judge, calibration, notes } = await opened(), all = judge.images.count + calibration.count, judging = new Set(pictures(judge.images));
  expect(judge.images.count / all).toBeCloseTo(0.3, 2);
  expect(pictures(calibration).filter((picture) => judging.has(picture))).toEqual([]);
  expect(notes.join()).toMatch(/No calibration data were given: of the [\d,]+ samples of .*validation, \d+ judged the networks and \d+ others repaired them\./);
  expect((await opened({ calibration: val })).calibration.count).toBe(calibration.count); // the same data given twice are one data set
});

it('judges on all validation images where there are others for calibration', async () => {
  const { judge, notes } = await opened({ calibration: 'examples/cifar10/calibration' }), divided = await opened();
  expect(judge.images.count).toBe(divided.judge.images.count + divided.calibration.count);
  expect(notes).toEqual([]);
});

it('refuses training data whose class folders are others, since their numbers stand for other classes', async () => {
  const folder = await temporaryFolder();
  for (const name of ['cat', 'dog']) cpSync(join('examples/cifar10/calibration', name), join(folder, 'two', name), { recursive: true });
  await expect(opened({ finetune: 1, train: join(folder, 'two') })).rejects.toThrow(/two: class 0 is "cat", but in .*validation it is "airplane"/);
  await opened({ finetune: 1, train: 'examples/cifar10/calibration' });
});
