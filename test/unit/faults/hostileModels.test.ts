import { expect, it } from 'vitest';
import { makeNode } from '../../../src/engine/onnx/attributes.ts';
import { buildModel, valueInfo } from '../../../src/engine/onnx/buildModel.ts';
import { floatTensor } from '../../../src/engine/onnx/tensor.ts';
import { analyse } from '../../../src/engine/pruning/analysis.ts';

/** A layer of 4 x 4 weights whose tensor says something else of itself. */
const layer = (opType: string, dims: readonly number[], attributes = {}, input: readonly (number | string)[] = ['n', 4]): ReturnType<typeof buildModel> =>
  buildModel({ nodes: [makeNode(opType, ['x', 'w'], ['y'], attributes)], inputs: [valueInfo('x', input, 1)], outputs: [valueInfo('y')], initializers: [floatTensor('w', dims, new Float32Array(16))] });

// what bench/faults.ts found: dims and attributes that memory was taken for before anything had checked them
it.each([
  ['a weight with fewer elements than its dims', layer('MatMul', [4, 2 ** 37]), /^Tensor "w" should hold 2199023255552 bytes for dimensions \[4, 137438953472\] but holds 64\.$/],
  ['a kernel with fewer elements than its dims', layer('Conv', [4, 1, 2 ** 20, 2 ** 10], {}, ['n', 1, 8, 8]), /^Tensor "w" should hold 17179869184 bytes/],
  ['groups by the thousand million', layer('ConvTranspose', [4, 4, 1], { group: 2 ** 40 }, ['n', 4, 8]), /group/],
  ['an input of gigabytes', layer('MatMul', [4, 4], {}, [2 ** 29, 4]), /Graph input "x" of the shape \[536870912, 4\] is too large to try the model on\..*Export it with inputs of fixed size/],
])('%s', async (_title, model, message) => {
  await expect(analyse(model)).rejects.toThrow(message);
});
