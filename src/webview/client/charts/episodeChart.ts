import type { Candidate } from '../../../engine/protocol.ts';
import { t } from '../l10n.ts';
import { LineChart } from './lineChart.ts';

/** Accuracy of each episode (left axis in percent), best so far, and reward (right axis). */
export function episodeChart(host: HTMLElement): { readonly chart: LineChart; update(candidates: readonly Candidate[]): void } {
  const chart = new LineChart(host, {
    x: t('Episode'), left: t('Accuracy (%)'), right: t('Reward'), percent: 'left', lines: [
      { label: t('Accuracy (%)'), colour: 'accuracy', style: 'points', digits: 2 }, { label: t('Best so far (%)'), colour: 'best', style: 'steps', digits: 2 },
      { label: t('Reward'), colour: 'reward', style: 'dashed', rightAxis: true, digits: 3 },
    ],
  });
  return {
    chart, update: (candidates) => {
      let best = -Infinity;
      const accuracy = candidates.map((candidate) => 100 * candidate.accuracy);
      chart.update(candidates.map(({ episode }) => episode), [accuracy, accuracy.map((value) => (best = Math.max(best, value))), candidates.map(({ reward }) => reward)]);
    },
  };
}
