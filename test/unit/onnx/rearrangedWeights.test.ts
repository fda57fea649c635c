import { join } from 'node:path';
import { expect, it } from 'vitest';
import { loadModel, saveModel } from '../../../src/engine/onnx/modelFile.ts';
import { dimsOf, int64Tensor } from '../../../src/engine/onnx/tensor.ts';
import { analyse } from '../../../src/engine/pruning/analysis.ts';
import { Session, floats } from '../../../src/engine/runtime/session.ts';
import { temporaryFolder } from '../../support/files.ts';
import { type Model, Network } from '../pruning/network.ts';

const folder = await temporaryFolder(), x = floats(Float32Array.from({ length: 2 * 24 }, (_, i) => Math.sin(i)), [2, 24]);
async function answers(model: Model): Promise<ArrayLike<number>> {
  const session = await Session.create(model);
  return Object.values(await session.run({ x }).finally(() => session.release()))[0]!.data as Float32Array;
}
/** The model as its file is read. */
async function read(model: Model): Promise<Model> {
  const path = join(folder, 'model.onnx');
  await saveModel(model, path);
  return (await loadModel(path)).proto;
}

it('weights that are transposed, reshaped and flattened before a layer reads them are stored as it reads them, and its layers are known', async () => {
  const net = new Network(), turned = net.op('Transpose', [net.weight([16, 24])]), flat = net.op('Flatten', [net.op('Transpose', [net.weight([3, 12, 2, 8])], { perm: [3, 2, 1, 0] })], { axis: 2 });
  const hidden = net.op('Relu', [net.op('MatMul', [net.input('x', ['n', 24]), turned])]), middle = net.op('Relu', [net.op('Gemm', [hidden, flat])]), shape = int64Tensor('', [2], [-1, 5]);
  const model = net.output(net.op('MatMul', [middle, net.op('Reshape', [net.op('Identity', [net.weight([4, 3, 3, 5])]), net.op('Constant', [], { value: shape })])])).model(), loaded = await read(model);
  expect(loaded.graph.node.map(({ opType }) => opType).filter((opType) => opType !== 'Constant')).toEqual(['MatMul', 'Relu', 'Gemm', 'Relu', 'MatMul']);
  expect(loaded.graph.initializer.map(dimsOf)).toEqual([[24, 16], [16, 36], [36, 5]]);
  expect(await answers(loaded)).toEqual(await answers(model));
  expect((await analyse(loaded)).layers).toHaveLength(3);
});

it('what something else reads as well, graph outputs, and nodes that are not valid are left', async () => {
  const net = new Network(), x = net.input('x', ['n', 24]), shared = net.weight([24, 24]), invalid = net.weight([5, 5]);
  const turned = net.op('Transpose', [shared]), shown = net.op('Transpose', [net.weight([2, 3])]);
  net.output(net.op('Add', [net.op('MatMul', [x, shared]), net.op('MatMul', [x, turned])]), shown).op('Transpose', [invalid], { perm: [0, 0] });
  net.op('Reshape', [net.weight([4, 4]), net.ints([3, -1])]);
  const model = net.model(), loaded = await read(model);
  expect(loaded.graph.node.map(({ opType }) => opType)).toEqual(model.graph.node.map(({ opType }) => opType));
  expect(loaded.graph.initializer.map(({ name }) => name)).toEqual(model.graph.initializer.map(({ name }) => name));
});
