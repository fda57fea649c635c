import type { GraphProto, ModelProto } from 'onnx-buf';
import { concatenated } from '../numerics/concatenated.ts';
import { runChunks } from '../runtime/chunkedRun.ts';
import { addGram, mirror } from '../runtime/matrix.ts';
import type { SessionOptions, Tensor } from '../runtime/session.ts';
import { type RowBudget, shareRows } from './rowBudget.ts';
import { columnsOf, inputRows, samplePositions } from './layerRows.ts';
import type { RegressibleLayer } from './regressibleLayers.ts';

/** Rows that are multiplied at once: to add a product to a wide layer's Gram matrix takes as long as the product of some hundred rows. */
const blockRows = 1024;

/**
 * Gram matrices XᵀX of layers' input rows in the original network, the constant column included: one pass over the images for all layers.
 * @param requests of one convolution group each @param feeds for every graph input, one tensor a chunk of images @param budget how many of them each layer gets
 * @returns float64 [columns, columns] a layer, in the order of `requests`, and the number of rows each sums over
 */
export async function gramMatrices(model: ModelProto & { graph: GraphProto }, requests: readonly RegressibleLayer[], feeds: Readonly<Record<string, Tensor[]>>, budget: RowBudget, seed: number, options: SessionOptions & { signal?: AbortSignal } = {}): Promise<{ gram: Float64Array; rows: number }[]> {
  const images = Object.values(feeds)[0]![0]!.dims[0]!;
  const shares = requests.map(({ layout }) => shareRows([{ layout, heldElements: 0 }], images, Object.values(feeds)[0]!.length, budget)[0]!); // nothing is held between chunks
  const sums = requests.map(({ layout }) => ({ gram: new Float64Array(columnsOf(layout) ** 2), rows: 0, waiting: [] as Float32Array[] }));
  const addWaiting = async ({ gram, waiting }: typeof sums[number], columns: number): Promise<void> => {
    const rows = concatenated(waiting.splice(0));
    await addGram(gram, rows, rows.length / columns, columns);
  };
  const wanted = (chunk: number): string[] => requests.filter((_, i) => chunk < shares[i]!.chunks).map(({ layer }) => layer.input);
  let chunk = 0;
  for await (const values of runChunks(model, feeds, wanted, options)) {
    for (const [i, { layer, layout }] of requests.entries()) {
      if (chunk >= shares[i]!.chunks) continue;
      const sampled = samplePositions(layout.positions, images, shares[i]!.points, seed + i * 7919 + chunk * 104729), columns = columnsOf(layout);
      const sum = sums[i]!;
      sum.waiting.push(...inputRows({ ...layout, constant: 1 }, values[layer.input]!.data as Float32Array, images, sampled));
      sum.rows += sampled.length;
      if (chunk + 1 === shares[i]!.chunks || sum.waiting.length * sampled.length >= blockRows) await addWaiting(sum, columns);
    }
    chunk++;
  }
  requests.forEach(({ layout }, i) => { mirror(sums[i]!.gram, columnsOf(layout)); });
  return sums;
}
