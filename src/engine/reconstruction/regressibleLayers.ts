import type { GraphProto, ModelProto } from 'onnx-buf';
import { UnsupportedModelError } from '../errors.ts';
import type { GraphView } from '../onnx/graphView.ts';
import { DataType, dimsOf } from '../onnx/tensor.ts';
import { knownValues } from '../pruning/knownValues.ts';
import type { Analysis, Layer } from '../pruning/types.ts';
import type { Tensor } from '../runtime/session.ts';
import { type ValueShapes, runShapes } from '../runtime/shapes.ts';
import { type RowLayout, columnsOf, rowLayout } from './layerRows.ts';

/** A layer that can be ranked and refitted by least squares, and how its input is read as rows. */
export interface RegressibleLayer { readonly layer: Layer; readonly layout: RowLayout }

/** Columns of a regression at most: its Gram matrix then takes 0.8 GB, and elimination by it about six times as much. */
const mostColumns = 10_000;

/**
 * The layers of a network that are regressions on calibration data: float32 weights that are constant, rows that can be told from the shapes (rowLayout) and are as
 * many whatever the data hold (an expert of a mixture gets the samples that are routed to it), no more columns than memory has room for. Groups that only other layers read are ranked by weights; other layers stay as they are.
 * @param feeds for every graph input, one tensor a chunk of images @returns them, in the given order, the shapes of all values for one chunk, and the images in it
 */
export async function regressibleLayers(model: ModelProto & { graph: GraphProto }, view: GraphView, layers: readonly Layer[], feeds: Readonly<Record<string, readonly Tensor[]>>): Promise<{ found: RegressibleLayer[]; shapes: ValueShapes['shapes']; images: number }> {
  const chunkShapes = Object.fromEntries(Object.entries(feeds).map(([name, chunks]) => [name, chunks[0]!.dims])), images = Object.values(chunkShapes)[0]![0]!;
  const { shapes } = await runShapes(model, view, chunkShapes), known = knownValues(view).shapes;
  const found = layers.flatMap((layer): RegressibleLayer[] => {
    const weight = view.constants.get(layer.weight), input = shapes.get(layer.input), output = shapes.get(layer.output);
    if (weight?.dataType !== DataType.FLOAT || !input || !output || !known.has(layer.input) || !known.has(layer.output)) return [];
    const layout = rowLayout(layer, input, output, dimsOf(weight), images);
    return layout && columnsOf(layout) <= mostColumns ? [{ layer, layout }] : [];
  });
  return { found, shapes, images };
}

/** Whether fitted weights can stand in a layer's place: nothing else reads them. */
export const isRefittable = (view: GraphView, { weight }: Layer): boolean => view.usesOf(weight).length === 1;

/** @throws {UnsupportedModelError} for a network with layers of another type than float32: their values are no rows of a regression, and nothing of it could be repaired or trained */
export function requireFloat32({ structure: { facts: { layers, view } } }: Analysis): void {
  for (const { name, weight } of layers) {
    const type = view.constants.get(weight)?.dataType ?? DataType.FLOAT;
    if (type !== DataType.FLOAT) throw new UnsupportedModelError(`The layer ${name} has weights of type ${(DataType[type] ?? String(type)).toLowerCase()}, but networks are compressed and repaired in float32. Compress the float32 model first and convert the result afterwards.`);
  }
}
