/** A part of the horizontal axis. */
export interface Zoom { readonly min: number; readonly max: number }

/** The part of the axis that was zoomed to; undefined where all values are in sight, so that those to come are shown too. */
export function zoomOf({ min, max }: { readonly min?: number | undefined; readonly max?: number | undefined }, x: ArrayLike<number>): Zoom | undefined {
  if (min === undefined || max === undefined || x.length === 0) return undefined;
  return min > x[0]! || max < x[x.length - 1]! ? { min, max } : undefined;
}
