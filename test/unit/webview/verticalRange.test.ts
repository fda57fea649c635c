import { expect, it } from 'vitest';
import { mostPercent, verticalRange } from '../../../src/webview/client/charts/verticalRange.ts';

it.each([
  [84, 84, 83.16, 84.84], // two networks alike do not make an axis from 0 to 150
  [56, 95, 52.88, 98.12], [90, 100, 89, 101], [0, 0, -1e-6, 1e-6],
])('percentages from %d to %d are shown from %d to %d', (least, greatest, bottom, top) => {
  const [from, to] = verticalRange(mostPercent)(undefined as never, least, greatest);
  expect(from).toBeCloseTo(bottom, 6);
  expect(to).toBeCloseTo(top, 6);
});
it('has a range before there are values', () => { expect(verticalRange()(undefined as never, null, null)).toEqual([0, 1]); });
