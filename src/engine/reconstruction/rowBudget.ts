import { type RowLayout, columnsOf } from './layerRows.ts';

/** How many rows regressions get, and within which limits. */
export interface RowBudget {
  /** Rows of a regression, where there is enough data; at least `perColumn` times its columns. */
  readonly rows: number;
  readonly perColumn: number;
  /** Output positions to look at in an image: more only where there are too few images. */
  readonly points: number;
  /** Images that may be run at all. */
  readonly mostImages: number;
  /** Bytes that the values held between pieces of the network may take, and the wanted outputs of all layers together. */
  readonly activationBytes: number;
  readonly featureBytes: number;
}

/** The memory that regressions may take unless something else is known. */
export const memoryLimits = { activationBytes: 8e8, featureBytes: 8e8 } as const;

/** A layer to be regressed. `heldElements`: float32 elements an image of the largest value that is made from this layer on; 0 where nothing is held. */
export interface RowDemand { readonly layout: RowLayout; readonly heldElements: number }

/** What a layer gets: so many chunks of images, so many positions of each image. */
export interface RowShare { readonly chunks: number; readonly points: number }

/** Values that are held at a time, about: a layer's input and output, and a part of a shortcut. */
const valuesHeld = 2.2;

/**
 * Shares images out: layers with many output positions need few images for their rows, and their large values would not fit for many; the last layers, with many
 * columns and few positions, take more images. No layer takes fewer images than one before it, so that a network that is run piece by piece only takes more in.
 * @param layers in the order in which they are regressed @param chunkImages images of a chunk @param chunks how many there are
 */
export function shareRows(layers: readonly RowDemand[], chunkImages: number, chunks: number, budget: RowBudget): RowShare[] {
  const mostRows = budget.featureBytes / (4 * layers.reduce((sum, { layout: { groups, outs } }) => sum + groups * outs, 1));
  const wanted = layers.map(({ layout }) => Math.max(1, Math.min(Math.max(budget.rows, budget.perColumn * columnsOf(layout)), Math.max(mostRows, budget.rows / 16))));
  const taken = layers.map(({ layout: { positions }, heldElements }, i) => {
    const most = Math.min(chunks * chunkImages, budget.mostImages, heldElements > 0 ? budget.activationBytes / (4 * valuesHeld * heldElements) : Infinity);
    return Math.max(1, Math.min(chunks, Math.floor(Math.min(most, Math.ceil(wanted[i]! / Math.min(budget.points, positions)) + chunkImages - 1) / chunkImages)));
  });
  for (let i = taken.length - 2; i >= 0; i--) taken[i] = Math.min(taken[i]!, taken[i + 1]!);
  return layers.map(({ layout: { positions } }, i) => ({ chunks: taken[i]!, points: Math.max(1, Math.min(positions, Math.ceil(wanted[i]! / (taken[i]! * chunkImages)))) }));
}
