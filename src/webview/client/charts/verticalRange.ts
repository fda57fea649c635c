import type uPlot from 'uplot';

/** How far percentages are shown: a dot at 100 is whole. */
export const mostPercent = 101;

/** The range of a vertical axis: its values with a little room around them, also where all are alike, and nothing above what they can be. */
export const verticalRange = (most = Infinity) => (_plot: uPlot, least: number | null, greatest: number | null): [number, number] => {
  if (least === null || greatest === null) return [0, Math.min(1, most)];
  const room = Math.max(0.08 * (greatest - least), 0.01 * Math.abs(greatest), 1e-6);
  return [least - room, Math.min(most, greatest + room)];
};
