import { describe, expect, it } from 'vitest';
import { increments } from '../../../src/host/progressBar.ts';

describe('the bar of a run', () => {
  /** Where the bar stands after each [seconds since the start, seconds left]. */
  const stands = (...told: readonly (readonly [number, number | undefined])[]) => {
    const advance = increments(1_000_000);
    let sum = 0;
    return told.map(([at, left]) => { sum += advance(1_000_000 + 1000 * at, left).increment ?? 0; return Math.round(sum); });
  };

  it('tells of the whole run, not of its search: it is full only when nothing is left', () => {
    expect(stands([10, undefined], [20, 80], [60, 40], [75, 25], [90, 10], [100, 0])).toEqual([0, 20, 60, 75, 90, 100]);
  });

  it('waits where the time left was guessed too short, instead of going back or beyond the end', () => {
    expect(stands([50, 50], [60, 140], [90, undefined], [180, 20], [200, 0], [210, 0])).toEqual([50, 50, 50, 90, 100, 100]);
  });

  it('begins with nothing', () => { expect(stands([0, 0])).toEqual([0]); });
});
