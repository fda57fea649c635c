import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { loadModel } from '../../../src/engine/onnx/modelFile.ts';
import { sha256OfModel } from '../../../src/engine/onnx/modelIdentity.ts';
import { listGraph } from '../../../src/engine/pruning/listGraph.ts';
import { pruneCommand } from '../../../src/engine/pruning/prune.ts';
import { writeModelWithData } from './modelWithData.ts';

describe('a model and the files that hold its weights', () => {
  let folder = '', model = '';
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'identity-'));
    model = await writeModelWithData(folder);
  });
  afterEach(async () => { await rm(folder, { recursive: true, force: true }); });

  it('is another model with other weights in the file beside it', async () => {
    const before = await sha256OfModel(model), data = join(folder, 'net.onnx.data'), bytes = await readFile(data);
    await writeFile(data, bytes.map((byte) => byte ^ 1));
    expect(await sha256OfModel(model)).not.toBe(before);
    await writeFile(data, bytes);
    expect(await sha256OfModel(model)).toBe(before);
  });

  it('is its file where that holds everything, and where it is no model', async () => {
    for (const path of ['examples/resnet20.onnx', 'package.json']) expect(await sha256OfModel(path)).toBe(createHash('sha256').update(await readFile(path)).digest('hex'));
  });

  it.skipIf(process.platform === 'win32')('is no pipe, which would be waited for', async () => {
    const pipe = join(folder, 'pipe.onnx');
    execFileSync('mkfifo', [pipe]);
    const readings = [() => loadModel(pipe), () => sha256OfModel(pipe), () => listGraph(pipe), () => pruneCommand({ model: pipe, out: join(folder, 'small.onnx'), preserve: 0.5 })];
    for (const reading of readings) await expect(reading()).rejects.toThrow(/Can't read the model .*pipe\.onnx: it is neither a file nor a folder\./);
  });
});
