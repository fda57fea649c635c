import type { GraphProto, ModelProto } from 'onnx-buf';
import { valueInfo } from '../onnx/buildModel.ts';
import type { Layer } from '../pruning/types.ts';
import { transposedProduct } from '../runtime/matrix.ts';
import { Session, type SessionOptions, type Tensor } from '../runtime/session.ts';
import { type RowLayout, columnsOf, inputRows, samplePositions } from './layerRows.ts';

/** A layer (one convolution group only) whose input statistics are wanted. */
export interface GramRequest { readonly layer: Layer; readonly layout: RowLayout }

/**
 * Gram matrices XᵀX of layers' input rows in the original network, the constant column included: one pass over the images for all layers.
 * @param feeds for every graph input, one tensor a chunk of images @param points output positions looked at in each image
 * @returns float64 [columns, columns] a layer, in the order of `requests`, and the number of rows each sums over
 */
export async function gramMatrices(model: ModelProto & { graph: GraphProto }, requests: readonly GramRequest[], feeds: Readonly<Record<string, Tensor[]>>, points: number, seed: number, options: SessionOptions & { signal?: AbortSignal } = {}): Promise<{ gram: Float64Array; rows: number }[]> {
  const inputs = new Set(Object.keys(feeds)), names = [...new Set(requests.map(({ layer }) => layer.input))].filter((name) => !inputs.has(name));
  const sums = requests.map(({ layout }) => ({ gram: new Float64Array(columnsOf(layout) ** 2), rows: 0 }));
  const session = await Session.create({ ...model, graph: { ...model.graph, output: names.map((name) => valueInfo(name)), valueInfo: [] } }, options);
  try {
    const chunks = Object.values(feeds)[0]!.length, images = Object.values(feeds)[0]![0]!.dims[0]!;
    for (let chunk = 0; chunk < chunks; chunk++) {
      options.signal?.throwIfAborted();
      const given = Object.fromEntries(Object.entries(feeds).map(([name, tensors]) => [name, tensors[chunk]!]));
      const values = { ...given, ...(names.length > 0 ? await session.run(given) : {}) };
      for (const [i, { layer, layout }] of requests.entries()) {
        const sampled = samplePositions(layout.positions, images, points, seed + i * 7919 + chunk * 104729), columns = columnsOf(layout);
        const [rows] = inputRows(layout, values[layer.input]!.data as Float32Array, images, sampled);
        const part = await transposedProduct(rows!, rows!, sampled.length, columns, columns), sum = sums[i]!;
        for (let at = 0; at < part.length; at++) sum.gram[at]! += part[at]!;
        sum.rows += sampled.length;
      }
    }
  } finally {
    await session.release();
  }
  return sums;
}
