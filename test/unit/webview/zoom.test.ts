import { expect, it } from 'vitest';
import { zoomOf } from '../../../src/webview/client/charts/zoom.ts';

it.each([
  [{ min: 1, max: 9 }, undefined], [{ min: 0, max: 12 }, undefined], [{}, undefined],
  [{ min: 3, max: 9 }, { min: 3, max: 9 }], [{ min: 1, max: 5 }, { min: 1, max: 5 }], [{ min: 20, max: 30 }, { min: 20, max: 30 }],
])('values from 1 to 9 on an axis %j are zoomed to %j', (axis, zoom) => { expect(zoomOf(axis, [1, 4, 9])).toEqual(zoom); });
it('is no zoom before there are values', () => { expect(zoomOf({ min: 3, max: 9 }, [])).toBeUndefined(); });
