import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdir, mkdtemp, readFile, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { loadModel, saveModel } from '../../../src/engine/onnx/modelFile.ts';
import { checkOut, sha256OfModel } from '../../../src/engine/onnx/modelIdentity.ts';
import { listGraph } from '../../../src/engine/pruning/listGraph.ts';
import { pruneCommand } from '../../../src/engine/pruning/prune.ts';
import { Network } from '../pruning/network.ts';

describe('a model and the files that hold its weights', () => {
  let folder = '', model = '';
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'identity-'));
    const net = new Network(), x = net.input('x', ['batch', 3, 8, 8]);
    net.output(net.op('GlobalAveragePool', [net.conv(net.op('Relu', [net.conv(x, 3, 16, [3, 3])]), 16, 20, [3, 3])]));
    await saveModel(net.model(), join(folder, 'net.onnx'), { externalData: true });
    model = join(folder, 'original.onnx'); // its weights stay in net.onnx.data
    await rename(join(folder, 'net.onnx'), model);
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

  it('is never overwritten, under whatever name', async () => {
    await mkdir(join(folder, 'inner'));
    await symlink(folder, join(folder, 'inner', 'link'));
    for (const out of [model, join(folder, 'inner', '..', 'original.onnx'), join(folder, 'inner', 'link', 'original.onnx')]) await expect(checkOut(out, model), out).rejects.toThrow('would overwrite the model');
    for (const out of [join(folder, 'net.onnx'), join(folder, 'net.onnx.data')]) await expect(checkOut(out, model), out).rejects.toThrow(/would overwrite .*net\.onnx\.data, which holds the model's weights/);
    await expect(checkOut(join(folder, 'small.onnx'), model)).resolves.toBeUndefined();
    await expect(checkOut(join(folder, 'nowhere', 'small.onnx'), model)).rejects.toThrow(/Can't write .*small\.onnx: its folder does not exist/);
    await expect(pruneCommand({ model, out: join(folder, 'net.onnx'), preserve: 0.5 })).rejects.toThrow('would overwrite');
    await loadModel(model);
  });

  it('is not overwritten by other files that a command writes, which are not each other either', async () => {
    const out = join(folder, 'small.onnx'), plan = (path: string, read: string[] = []): Promise<void> => checkOut(out, model, { written: { 'plan-out': path }, read });
    for (const path of [model, join(folder, 'net.onnx.data'), out, `${out}.data`]) await expect(plan(path), path).rejects.toThrow(/would overwrite .*: give another --plan-out\./);
    await expect(plan(join(folder, 'plan.json'), [join(folder, '.', 'plan.json')])).rejects.toThrow(/would overwrite .*plan\.json, which is read/);
    await expect(plan(folder)).rejects.toThrow(/Can't write .*: it is a folder\./);
    await expect(plan(join(model, 'plan.json'))).rejects.toThrow(/Can't write .*: its folder does not exist/);
    await expect(plan(join(folder, 'plan.json'))).resolves.toBeUndefined();
  });

  it.skipIf(process.platform === 'win32')('is no pipe, which would be waited for', async () => {
    const pipe = join(folder, 'pipe.onnx');
    execFileSync('mkfifo', [pipe]);
    for (const reading of [loadModel(pipe), sha256OfModel(pipe), listGraph(pipe), pruneCommand({ model: pipe, out: join(folder, 'small.onnx'), preserve: 0.5 })]) await expect(reading).rejects.toThrow(/Can't read the model .*pipe\.onnx: it is neither a file nor a folder\./);
  });
});
