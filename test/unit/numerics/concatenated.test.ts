import { describe, expect, it } from 'vitest';
import { concatenated } from '../../../src/engine/numerics/concatenated.ts';

describe('concatenated', () => {
  it('puts arrays one after the other', () => {
    expect([...concatenated([Float32Array.of(1, 2), new Float32Array(0), Float32Array.of(3)])]).toEqual([1, 2, 3]);
  });
  it('copies nothing where there is one array only', () => {
    const only = Float32Array.of(1, 2);
    expect(concatenated([only])).toBe(only);
  });
  it('makes an empty one of nothing', () => { expect(concatenated([]).length).toBe(0); });
});
