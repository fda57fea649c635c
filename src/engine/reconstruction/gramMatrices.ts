import type { GraphProto, ModelProto } from 'onnx-buf';
import { valueInfo } from '../onnx/buildModel.ts';
import type { Layer } from '../pruning/types.ts';
import { transposedProduct } from '../runtime/matrix.ts';
import { Session, type SessionOptions, type Tensor } from '../runtime/session.ts';
import { type RowBudget, shareRows } from './rowBudget.ts';
import { type RowLayout, columnsOf, inputRows, samplePositions } from './layerRows.ts';

/** A layer (one convolution group only) whose input statistics are wanted. */
export interface GramRequest { readonly layer: Layer; readonly layout: RowLayout }

/**
 * Gram matrices XᵀX of layers' input rows in the original network, the constant column included: one pass over the images for all layers.
 * @param feeds for every graph input, one tensor a chunk of images @param budget how many of them each layer gets
 * @returns float64 [columns, columns] a layer, in the order of `requests`, and the number of rows each sums over
 */
export async function gramMatrices(model: ModelProto & { graph: GraphProto }, requests: readonly GramRequest[], feeds: Readonly<Record<string, Tensor[]>>, budget: RowBudget, seed: number, options: SessionOptions & { signal?: AbortSignal } = {}): Promise<{ gram: Float64Array; rows: number }[]> {
  const inputs = new Set(Object.keys(feeds)), images = Object.values(feeds)[0]![0]!.dims[0]!;
  const shares = requests.map(({ layout }) => shareRows([{ layout, heldElements: 0 }], images, Object.values(feeds)[0]!.length, budget)[0]!); // nothing is held between chunks
  const sums = requests.map(({ layout }) => ({ gram: new Float64Array(columnsOf(layout) ** 2), rows: 0 }));
  let session: Session | undefined, names: string[] = [];
  try {
    for (let chunk = 0; chunk < Math.max(...shares.map(({ chunks }) => chunks)); chunk++) {
      options.signal?.throwIfAborted();
      const wanted = [...new Set(requests.filter((_, i) => chunk < shares[i]!.chunks).map(({ layer }) => layer.input))].filter((name) => !inputs.has(name));
      if (!session || wanted.length < names.length) { // fewer layers go on: nothing is computed for those that have enough
        await session?.release();
        session = undefined;
        names = wanted;
        if (names.length > 0) session = await Session.create({ ...model, graph: { ...model.graph, output: names.map((name) => valueInfo(name)), valueInfo: [] } }, options);
      }
      const given = Object.fromEntries(Object.entries(feeds).map(([name, tensors]) => [name, tensors[chunk]!]));
      const values = { ...given, ...(session ? await session.run(given) : {}) };
      for (const [i, { layer, layout }] of requests.entries()) {
        if (chunk >= shares[i]!.chunks) continue;
        const sampled = samplePositions(layout.positions, images, shares[i]!.points, seed + i * 7919 + chunk * 104729), columns = columnsOf(layout);
        const [rows] = inputRows(layout, values[layer.input]!.data as Float32Array, images, sampled);
        const part = await transposedProduct(rows!, rows!, sampled.length, columns, columns), sum = sums[i]!;
        for (let at = 0; at < part.length; at++) sum.gram[at]! += part[at]!;
        sum.rows += sampled.length;
      }
    }
  } finally {
    await session?.release();
  }
  return sums;
}
