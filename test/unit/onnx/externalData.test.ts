import { mkdtemp, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { asExternal } from '../../../src/engine/onnx/externalData.ts';
import { loadModel, saveModel } from '../../../src/engine/onnx/modelFile.ts';
import { floatTensor } from '../../../src/engine/onnx/tensor.ts';
import { Network } from '../pruning/network.ts';

/** A tensor of so many numbers that stands in the file beside the model. */
const outside = (name: string, count: number, offset: number) => asExternal(floatTensor(name, [count], new Float32Array(0)), 'weights.bin', offset, 4 * count);

describe('external data', () => {
  let folder = '', path = '';
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'external-'));
    path = join(folder, 'model.onnx');
  });
  afterEach(async () => { await rm(folder, { recursive: true, force: true }); });

  const write = async (...tensors: ReturnType<typeof outside>[]): Promise<void> => {
    const net = new Network(), model = (net.output(net.op('Relu', [net.input('x', [4])])), net.model());
    model.graph.initializer.push(...tensors);
    await saveModel(model, path, { externalData: false });
  };

  it('that tensors share is read once', async () => {
    await writeFile(join(folder, 'weights.bin'), new Uint8Array(Float32Array.of(1, 2, 3, 4).buffer));
    await write(outside('a', 2, 0), outside('b', 2, 0), outside('c', 1, 12));
    const { proto: { graph: { initializer: [a, b, c] } } } = await loadModel(path);
    expect(a!.rawData).toBe(b!.rawData);
    expect([...new Float32Array(Uint8Array.from(c!.rawData).buffer)]).toEqual([4]);
  });

  it.skipIf(process.platform === 'win32')('far apart in a file takes the memory of its tensors only', async () => {
    await writeFile(join(folder, 'weights.bin'), new Uint8Array(16));
    await truncate(join(folder, 'weights.bin'), 2 ** 42);
    await write(outside('a', 2, 0), outside('b', 2, 2 ** 42 - 8));
    expect((await loadModel(path)).sizeBytes).toBeLessThan(1000);
  });

  it('that overlaps beyond the size of its file is refused', async () => {
    await writeFile(join(folder, 'weights.bin'), new Uint8Array(64));
    await write(...Array.from({ length: 10 }, (_, i) => outside(`t${i}`, 8, 2 * i)));
    await expect(loadModel(path)).rejects.toThrow('External data file "weights.bin" has 64 bytes, but its tensors overlap and would take 320.');
  });
});
