import { describe, expect, it } from 'vitest';
import { stages } from '../../../src/engine/protocol.ts';
import { formatBytes, formatCount, formatSeconds, t, useTexts } from '../../../src/webview/client/l10n.ts';
import { emptyRunView } from '../../../src/webview/client/state.ts';
import { costSentence, outcomeSentence, progressSentence, speedText, stageText, stepsSentence } from '../../../src/webview/client/words.ts';
import { candidate, sampleReport, sparseReport } from '../../support/sampleReport.ts';

describe('words', () => {
  it('sums up a run', () => {
    expect(outcomeSentence(sampleReport)).toBe('2.0x fewer MACs, 2.0x faster on this machine, 2.0x smaller file, 0.6 points of accuracy lost on 5,000 images (92.1%).');
  });

  it('sums up a run that pruned single weights by what changed', () => {
    expect(outcomeSentence(sparseReport)).toBe('5.0x fewer weights that are not zero, 4.0x smaller in a zip, 0.6 points of accuracy lost on 5,000 images (92.1%).');
  });

  it('says so when the result is slower or more accurate', () => {
    const { before, after } = sampleReport;
    const text = outcomeSentence({ ...sampleReport, after: { ...after, latencyMs: { median: 2 * before.latencyMs.median, p10: 3, p90: 4 }, accuracy: { ...after.accuracy, value: 0.94 } } });
    expect(text).toContain('2.0x slower on this machine');
    expect(text).toContain('1.3 points of accuracy won');
    expect(outcomeSentence({ ...sampleReport, after: { ...after, accuracy: { ...after.accuracy, value: 0.9273 } } })).toContain('0.0 points of accuracy lost');
    expect(outcomeSentence({ ...sampleReport, after: { ...after, latencyMs: before.latencyMs } })).toContain(' no clear difference in speed on this machine,');
  });

  it.each([[1.731, '1.73x faster'], [1, '1.00x faster'], [0.8, '1.25x slower']])('tells a speed of %d times the original', (ratio, text) => { expect(speedText(ratio, 2)).toBe(text); });

  it.each([['macs=0.5', 'at most 50% of the MACs'], ['latency=0.6', 'at most 60% of the time'], ['accuracy-drop=1', 'at most 1 points of accuracy lost'], ['macs=0.5,latency=0.6', 'at most 50% of the MACs and at most 60% of the time'], ['macs=0.125', 'at most 12.5% of the MACs'], ['size=0.995', 'at most 99.5% of the file size'], ['params=0.29', 'at most 29% of the parameters'], ['odd', 'odd']])('reads the target %s', (target, text) => { expect(costSentence(target)).toBe(text); });

  it.each(stages)('has words for the stage %s', (stage) => { expect(stageText(stage)).toMatch(/^[A-Z][a-z-]+/); });
  it('keeps the name of a stage of a newer engine', () => { expect(stageText('polish')).toBe('polish'); });

  it('tells how far the search is', () => {
    const view = { ...emptyRunView, stage: 'search' as const, candidates: [candidate(11, 0.5, 0.9), candidate(12, 0.5, 0.8)], bestEpisode: 11, episodesPlanned: 40, secondsLeft: 125 };
    expect(progressSentence(view)).toBe('Episode 12 of 40, best accuracy 90.0%, 2 min 5 s left');
  });

  it('tells how far training is, and what each step brought', () => {
    const view = { ...emptyRunView, stage: 'finetune' as const, candidates: [candidate(11, 0.5, 0.9)], training: [{ stage: 'finetune' as const, epoch: 2, epochs: 10, loss: 0.1234, accuracy: 0.89 }], secondsLeft: 30 };
    expect(progressSentence(view)).toBe('Epoch 2 of 10, loss 0.123, accuracy 89.0%, 30 s left');
    expect(stepsSentence({ steps: [{ step: 'reconstruct', accuracy: 0.852 }, { step: 'refine', accuracy: 0.871, epochs: 3 }, { step: 'finetune', accuracy: 0.89, epochs: 5 }] })).toBe('Reconstructed 85.2%, refined 87.1%, fine-tuned 89.0%.');
    expect(stepsSentence({ steps: [{ step: 'reconstruct', accuracy: 0.852 }] })).toBe('');
  });

  it.each([[999, '999'], [40_813_184, '40.8 M'], [1_500, '1.5 k'], [271_690, '272 k'], [3.2e9, '3.2 G'], [999_499, '999 k'], [999_600, '1.0 M']])('writes %d as %s', (value, text) => { expect(formatCount(value)).toBe(text); });
  it.each([[0.2, 'less than 1 s'], [5.24, '5.2 s'], [9.97, '10 s'], [59.7, '1 min 0 s'], [65, '1 min 5 s'], [119.7, '2 min 0 s'], [3599.8, '1 h 0 min'], [7260, '2 h 1 min']])('writes %d seconds as %s', (value, text) => { expect(formatSeconds(value)).toBe(text); });
  it('writes sizes in units of 1000', () => { expect([1_097_110, 900, 999_949, 999_960].map(formatBytes)).toEqual(['1.1 MB', '0.9 kB', '999.9 kB', '1.0 MB']); });

  it('uses the translations and number format that the host sends', () => {
    useTexts({ '{0} layers': '{0} Schichten' }, 'de');
    try { expect(t('{0} layers', formatCount(1_500))).toBe('1,5 k Schichten'); } finally { useTexts({}, 'en'); }
  });
});
