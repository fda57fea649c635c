import { describe, expect, it } from 'vitest';
import type { RowLayout } from '../../../src/engine/reconstruction/layerRows.ts';
import { type RowBudget, shareRows } from '../../../src/engine/reconstruction/rowBudget.ts';

const budget: RowBudget = { rows: 4096, perColumn: 2, points: 8, mostImages: 4000, activationBytes: 8e8, featureBytes: 4e8 };
const layout = (channels: number, positions: number): RowLayout => ({ groups: 1, channels, taps: 9, outs: 64, positions, constant: 1 });

describe('sharing images out among layers', () => {
  it('gives layers of few positions and many columns more images, and those of many positions only as many as they need', () => {
    const shares = shareRows([{ layout: layout(8, 1024), heldElements: 8192 }, { layout: layout(64, 64), heldElements: 4096 }, { layout: layout(512, 4), heldElements: 2048 }], 64, 100, budget);
    expect(shares).toEqual([{ chunks: 8, points: 8 }, { chunks: 8, points: 8 }, { chunks: 37, points: 4 }]); // 2 x 4,609 columns at 4 positions: 2,305 images
  });

  it('looks at more positions of each image where there are too few images', () => {
    expect(shareRows([{ layout: layout(8, 1024), heldElements: 8192 }], 64, 2, budget)).toEqual([{ chunks: 2, points: 32 }]);
    expect(shareRows([{ layout: layout(8, 4), heldElements: 8192 }], 64, 2, budget)).toEqual([{ chunks: 2, points: 4 }]);
  });

  it('keeps within the memory for values, for wanted outputs, and within the images that may be run', () => {
    expect(shareRows([{ layout: layout(8, 1024), heldElements: 800_000 }], 1, 4000, budget)[0]!.chunks).toBe(113);
    expect(shareRows([{ layout: layout(512, 1), heldElements: 100 }], 64, 1000, budget)[0]!.chunks).toBe(62);
    const [share] = shareRows([{ layout: { ...layout(8, 64), outs: 200_000 }, heldElements: 100 }], 64, 100, budget);
    expect(share!.chunks * 64 * share!.points * 200_000 * 4).toBeLessThanOrEqual(1.1 * budget.featureBytes);
  });

  it('never takes fewer images than a layer before it', () => {
    const shares = shareRows([{ layout: layout(8, 1), heldElements: 100 }, { layout: layout(8, 1024), heldElements: 400_000 }, { layout: layout(512, 4), heldElements: 2048 }], 16, 300, budget);
    expect(shares.map(({ chunks }) => chunks)).toEqual([14, 14, 145]);
  });
});
