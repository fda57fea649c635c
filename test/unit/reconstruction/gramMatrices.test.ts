import { expect, it } from 'vitest';
import { GraphView } from '../../../src/engine/onnx/graphView.ts';
import { loadModel } from '../../../src/engine/onnx/modelFile.ts';
import { dimsOf } from '../../../src/engine/onnx/tensor.ts';
import { analyse } from '../../../src/engine/pruning/analysis.ts';
import { gramMatrices } from '../../../src/engine/reconstruction/gramMatrices.ts';
import { rowLayout, samplePositions } from '../../../src/engine/reconstruction/layerRows.ts';
import { memoryLimits } from '../../../src/engine/reconstruction/rowBudget.ts';
import { floats } from '../../../src/engine/runtime/session.ts';

const [images, points, seed] = [32, 10, 5];

it('sums the products of all rows, over however many chunks of images they come', async () => {
  const { proto } = await loadModel('examples/resnet20.onnx'), { layers } = await analyse(proto), view = new GraphView(proto.graph), layer = layers[0]!;
  const pixels = Array.from({ length: 5 }, (_, chunk) => Float32Array.from({ length: images * 3072 }, (_unused, i) => Math.sin(i * 12.9898 + chunk)));
  const layout = rowLayout(layer, [images, 3, 32, 32], [images, 16, 32, 32], dimsOf(view.constants.get(layer.weight)!), images)!;
  const [found] = await gramMatrices(proto, [{ layer, layout }], { [view.inputs[0]!]: pixels.map((data) => floats(data, [images, 3, 32, 32])) }, { rows: 1600, perColumn: 0, points, mostImages: 160, ...memoryLimits }, seed);

  const expected = new Float64Array(28 * 28); // 3x3 windows of three channels, and the constant
  pixels.forEach((data, chunk) => samplePositions(1024, images, points, seed + chunk * 104729).forEach((position, n) => {
    const [top, left, image] = [Math.floor(position / 32) - 1, (position % 32) - 1, Math.floor(n / points) * 3072];
    const inside = (y: number, x: number): boolean => y >= 0 && y < 32 && x >= 0 && x < 32;
    const row = [...Array.from({ length: 27 }, (_, i) => { const [y, x] = [top + Math.floor(i / 3) % 3, left + (i % 3)]; return inside(y, x) ? data[image + Math.floor(i / 9) * 1024 + y * 32 + x]! : 0; }), 1];
    row.forEach((a, r) => row.forEach((b, c) => { expected[r * 28 + c]! += a * b; }));
  }));
  expect(found!.rows).toBe(1600);
  expect(Math.max(...found!.gram.map((value, i) => Math.abs(value - expected[i]!)))).toBeLessThan(1e-3); // diagonals are about 800
});
