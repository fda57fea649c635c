import { mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { episodePath, modelPair } from '../../../src/host/modelPair.ts';

describe('the models that are compared', () => {
  let folder: string;
  const at = (name: string) => join(folder, name), write = (...names: string[]) => Promise.all(names.map((name) => writeFile(at(name), '')));
  const run = (out: string) => ({ modelPath: at('net.onnx'), out: at(out) });
  beforeEach(async () => { folder = await mkdtemp(join(tmpdir(), 'auto-compress-pair-')); });
  afterEach(() => rm(folder, { recursive: true, force: true }));

  it('are the original and what the newest run wrote that is still there', async () => {
    await write('net.onnx', 'half.onnx', 'third.onnx');
    expect(await modelPair(at('net.onnx'), [run('gone.onnx'), run('half.onnx'), run('third.onnx')])).toEqual([at('net.onnx'), at('half.onnx')]);
  });

  it('are those of the run that wrote the compressed one', async () => {
    await write('net.onnx', 'half.onnx', 'third.onnx');
    expect(await modelPair(at('third.onnx'), [run('half.onnx'), run('third.onnx')])).toEqual([at('net.onnx'), at('third.onnx')]);
  });

  it('are the same by another way to them', async () => {
    await write('net.onnx', 'half.onnx');
    await symlink(folder, at('link'));
    expect(await modelPair(at('link/half.onnx'), [run('half.onnx')])).toEqual([at('net.onnx'), at('link/half.onnx')]);
    expect(await modelPair(at('link/net.onnx'), [run('half.onnx')])).toEqual([at('link/net.onnx'), at('half.onnx')]);
  });

  it('are told by their names where no run has its output any more', async () => {
    await write('net.onnx', 'net.compressed.onnx');
    expect(await modelPair(at('net.onnx'), [run('gone.onnx')])).toEqual([at('net.onnx'), at('net.compressed.onnx')]);
    await rm(at('net.compressed.onnx'));
    expect(await modelPair(at('net.onnx'), [run('gone.onnx')])).toBeUndefined();
  });

  it('are told by the name of what was written too, also of an exported candidate', async () => {
    const episode = episodePath(at('net.onnx'), 12);
    await write('net.onnx', 'net.compressed.onnx', 'other.compressed.onnx', 'net.compressed.compressed.onnx');
    expect(await modelPair(episode, [])).toEqual([at('net.onnx'), at('net.episode12.onnx')]);
    expect(await modelPair(at('net.compressed.compressed.onnx'), [])).toEqual([at('net.compressed.onnx'), at('net.compressed.compressed.onnx')]);
    await rm(at('net.compressed.compressed.onnx'));
    expect(await modelPair(at('net.compressed.onnx'), [run('gone.onnx')])).toEqual([at('net.onnx'), at('net.compressed.onnx')]);
    expect(await modelPair(at('other.compressed.onnx'), []), 'there is no other.onnx').toBeUndefined();
  });
});
