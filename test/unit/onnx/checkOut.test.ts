import { mkdir, mkdtemp, readdir, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { checkOut } from '../../../src/engine/onnx/checkOut.ts';
import { loadModel, saveModel } from '../../../src/engine/onnx/modelFile.ts';
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

  it('is written under names as long as can be; longer ones, of its weights too, are refused before the work', async () => {
    const named = (length: number): string => join(folder, `${'m'.repeat(length - 5)}.onnx`);
    await pruneCommand({ model, out: named(250), preserve: 0.5 });
    expect((await readdir(folder)).filter((name) => name.length > 20 || name.startsWith('.')).sort()).toEqual([basename(named(250)), `${basename(named(250))}.data`]);
    await expect(checkOut(named(251), model)).rejects.toThrow(/Can't write .*mm\.onnx\.data: its name is too long\./);
    await expect(checkOut(named(256), model)).rejects.toThrow(/Can't write .*mm\.onnx: its name is too long\./);
    await expect(checkOut(named(250), model, { written: { 'plan-out': named(256) } })).rejects.toThrow('its name is too long');
    const inside = await loadModel(model);
    await saveModel(inside.proto, join(folder, 'inside.onnx'));
    await expect(checkOut(named(255), join(folder, 'inside.onnx'))).resolves.toBeUndefined();
    await saveModel(inside.proto, named(255));
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
