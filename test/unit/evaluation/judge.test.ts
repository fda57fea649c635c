import { describe, expect, it } from 'vitest';
import { difference, rewardOf } from '../../../src/engine/evaluation/judge.ts';

describe('difference', () => {
  const outcomes = (right: readonly number[], probability: readonly number[]) => ({ right: Float32Array.from(right), probability: Float32Array.from(probability) });

  it('is the difference of the rewards, image by image, with its standard error', () => {
    const mine = outcomes([1, 0, 1, 1], [0.9, 0.25, 0.75, 0.5]), others = outcomes([1, 1, 0, 1], [0.65, 0.5, 0.5, 0.5]);
    const { accuracy, reward, standardError } = difference(mine, others);
    expect(accuracy).toBeCloseTo(0, 6);
    expect(reward).toBeCloseTo(rewardOf({ accuracy: 0.75, probability: 0.6 }) - rewardOf({ accuracy: 0.75, probability: 0.5375 }), 6);
    const each = [0.125, -0.625, 0.625, 0], mean = 0.03125; // halves of the differences of both
    expect(standardError).toBeCloseTo(Math.sqrt(each.reduce((sum, value) => sum + (value - mean) ** 2, 0) / 4 / 4), 6);
  });

  it('is nothing, for certain, between a model and itself', () => {
    const same = outcomes([1, 0, 1], [0.9, 0.2, 0.6]);
    expect(difference(same, same)).toEqual({ accuracy: 0, reward: 0, standardError: 0 });
  });
});
