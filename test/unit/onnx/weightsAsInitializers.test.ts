import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { makeNode } from '../../../src/engine/onnx/attributes.ts';
import { valueInfo } from '../../../src/engine/onnx/buildModel.ts';
import { loadModel, saveModel } from '../../../src/engine/onnx/modelFile.ts';
import { dimsOf, floatsOf } from '../../../src/engine/onnx/tensor.ts';
import { analyse } from '../../../src/engine/pruning/analysis.ts';
import { pruneCommand } from '../../../src/engine/pruning/prune.ts';
import { Session, floats } from '../../../src/engine/runtime/session.ts';
import { type Model, Network } from '../pruning/network.ts';

function smallNetwork(): Model {
  const net = new Network(), x = net.input('x', ['batch', 3, 8, 8]);
  const y = net.op('Relu', [net.conv(net.op('Relu', [net.conv(x, 3, 16, [3, 3])]), 16, 20, [3, 3])]);
  net.output(net.op('Gemm', [net.op('Flatten', [net.op('GlobalAveragePool', [y])]), net.weight([20, 5]), net.weight([5])]));
  return net.model();
}

/** The forms in which files have weights, each made of a model with plain initializers. */
const forms: Readonly<Record<string, (model: Model) => void>> = {
  'initializers with raw data': () => undefined,
  'Constant nodes': ({ graph }) => {
    graph.node.unshift(...graph.initializer.map((tensor) => makeNode('Constant', [], [tensor.name], { value: { ...tensor, name: '' } as typeof tensor })));
    graph.initializer = [];
  },
  'typed fields': ({ graph }) => {
    for (const tensor of graph.initializer) { tensor.floatData = [...floatsOf(tensor)]; tensor.rawData = new Uint8Array(0); }
  },
  'graph inputs of IR version 3': (model) => {
    model.irVersion = 3n;
    model.graph.input.push(...model.graph.initializer.map((tensor) => valueInfo(tensor.name, dimsOf(tensor), tensor.dataType)));
  },
  'graph inputs of a newer version, every one': ({ graph }) => { graph.input.push(...graph.initializer.map((tensor) => valueInfo(tensor.name, dimsOf(tensor), tensor.dataType))); },
};

describe('weights in whichever form the file has them', () => {
  let folder = '';
  beforeEach(async () => { folder = await mkdtemp(join(tmpdir(), 'weights-')); });
  afterEach(async () => { await rm(folder, { recursive: true, force: true }); });

  const answers = async (path: string): Promise<Float32Array> => {
    const session = await Session.create((await loadModel(path)).proto), x = floats(Float32Array.from({ length: 2 * 192 }, (_, i) => Math.sin(i)), [2, 3, 8, 8]);
    try { return Object.values(await session.run({ x }))[0]!.data as Float32Array; } finally { await session.release(); }
  };

  it('are pruned alike', async () => {
    const plain = join(folder, 'plain.onnx'), pruned = join(folder, 'plain.small.onnx');
    await saveModel(smallNetwork(), plain);
    await pruneCommand({ model: plain, out: pruned, preserve: 0.5 });
    const expected = await answers(plain), expectedPruned = await answers(pruned), { macs, params, groups } = await analyse((await loadModel(plain)).proto);
    expect(groups).toHaveLength(2);
    for (const [form, write] of Object.entries(forms)) {
      const model = smallNetwork(), path = join(folder, 'form.onnx'), out = join(folder, 'form.small.onnx');
      write(model);
      await saveModel(model, path);
      const { proto } = await loadModel(path), analysis = await analyse(proto);
      expect(proto.graph.input.map(({ name }) => name), form).toEqual(['x']);
      expect([analysis.macs, analysis.params, analysis.groups.length], form).toEqual([macs, params, 2]);
      expect(await answers(path), form).toEqual(expected);
      await pruneCommand({ model: path, out, preserve: 0.5 });
      expect(await answers(out), form).toEqual(expectedPruned);
    }
  });

  it('stay inputs where only some are: these are defaults that a caller may replace', async () => {
    const model = smallNetwork(), [weight] = model.graph.initializer;
    model.graph.input.push(valueInfo(weight!.name, dimsOf(weight!), weight!.dataType));
    await saveModel(model, join(folder, 'defaults.onnx'));
    expect((await loadModel(join(folder, 'defaults.onnx'))).proto.graph.input.map(({ name }) => name)).toEqual(['x', weight!.name]);
  });
});
