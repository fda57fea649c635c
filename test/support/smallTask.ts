import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Random } from '../../src/engine/numerics/random.ts';
import { makeNode } from '../../src/engine/onnx/attributes.ts';
import { buildModel, valueInfo } from '../../src/engine/onnx/buildModel.ts';
import { saveModel } from '../../src/engine/onnx/modelFile.ts';
import { floatTensor } from '../../src/engine/onnx/tensor.ts';
import { npy, npz } from './npy.ts';

/** A small network and images, on which a run takes seconds. */
export async function smallTask(folder: string): Promise<{ model: string; data: string }> {
  const random = new Random(1), weights = (name: string, dims: number[]) => floatTensor(name, dims, Float32Array.from({ length: dims.reduce((a, b) => a * b) }, () => random.normal(0, Math.sqrt(2 / dims.slice(1).reduce((a, b) => a * b, 1)))));
  const model = join(folder, 'small.onnx'), data = join(folder, 'data.npz');
  await saveModel(buildModel({
    nodes: [
      makeNode('Conv', ['x', 'w1'], ['a1'], { kernel_shape: [3, 3], pads: [1, 1, 1, 1] }), makeNode('Relu', ['a1'], ['r1']), makeNode('Conv', ['r1', 'w2'], ['a2'], { kernel_shape: [3, 3], pads: [1, 1, 1, 1] }), makeNode('Relu', ['a2'], ['r2']),
      makeNode('Conv', ['r2', 'w3'], ['a3'], { kernel_shape: [3, 3], pads: [1, 1, 1, 1] }), makeNode('Relu', ['a3'], ['r3']), makeNode('GlobalAveragePool', ['r3'], ['p']), makeNode('Flatten', ['p'], ['f']), makeNode('Gemm', ['f', 'w4'], ['y'], { transB: 1 }),
    ],
    initializers: [weights('w1', [16, 3, 3, 3]), weights('w2', [16, 16, 3, 3]), weights('w3', [16, 16, 3, 3]), weights('w4', [10, 16])],
    inputs: [valueInfo('x', ['n', 3, 12, 12], 1)], outputs: [valueInfo('y', ['n', 10], 1)],
  }), model);
  await writeFile(data, npz({ images: npy('|u1', [400, 3, 12, 12], Uint8Array.from({ length: 400 * 432 }, () => random.integer(256))) }, 0));
  return { model, data };
}
