import { mkdir, mkdtemp, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { checkOut } from '../../../src/engine/onnx/checkOut.ts';
import { loadModel } from '../../../src/engine/onnx/modelFile.ts';
import { pruneCommand } from '../../../src/engine/pruning/prune.ts';
import { writeModelWithData } from './modelWithData.ts';

describe('a model whose weights stand beside it', () => {
  let folder = '', model = '';
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'out-'));
    model = await writeModelWithData(folder);
  });
  afterEach(async () => { await rm(folder, { recursive: true, force: true }); });

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
});
