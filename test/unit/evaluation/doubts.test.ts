import { describe, expect, it } from 'vitest';
import { doubtsAbout } from '../../../src/engine/evaluation/doubts.ts';

const measured = { metric: 'top1', accuracy: 0.9, images: 1000, classes: 10 } as const;

describe('doubts about a measured accuracy', () => {
  it('has none about a model that is right more often than by chance, nor about agreement', () => {
    expect(doubtsAbout('val', measured)).toEqual([]);
    expect(doubtsAbout('val', { ...measured, accuracy: 0.14 })).toEqual([]);
    expect(doubtsAbout('val', { ...measured, accuracy: 0.01, metric: 'agreement' })).toEqual([]);
  });

  it('names an accuracy that guessing reaches, within three standard errors, whatever the metric', () => {
    expect(doubtsAbout('val', { ...measured, accuracy: 0.125 })).toEqual([expect.stringMatching(/no better than guessing on val \(12\.5% right, 10 classes\).*order of the classes or the preprocessing/)]);
    expect(doubtsAbout('val', { ...measured, accuracy: 0.5, metric: 'top5' })).toHaveLength(1);
    expect(doubtsAbout('val', { ...measured, accuracy: 0.6, metric: 'top5' })).toEqual([]);
  });

  it('is not easily doubtful on few images', () => {
    expect(doubtsAbout('val', { ...measured, images: 4, classes: 3, accuracy: 0.75 })).toEqual([]);
    expect(doubtsAbout('val', { ...measured, images: 4, classes: 3, accuracy: 0.5 })).toHaveLength(1);
    expect(doubtsAbout('val', { ...measured, metric: 'top5', classes: 5, accuracy: 1 })).toEqual([]);
  });

  it('names classes that are fewer than those of the model, be they folders or names in a CSV', () => {
    expect(doubtsAbout('images', { ...measured, classNames: ['test', 'train', 'val'] })).toEqual(['images has 3 classes (test, train, val), the model 10: these were taken for its classes 0 to 2. Are they the right data?']);
    expect(doubtsAbout('images', { ...measured, classNames: Array.from({ length: 10 }, (_, i) => `c${i}`) })).toEqual([]);
  });
});
