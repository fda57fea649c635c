import type { Candidate } from '../../../engine/protocol.ts';
import { t } from '../l10n.ts';
import { bestAccuracies } from '../state.ts';
import { LineChart } from './lineChart.ts';

/** Accuracy of each episode and of the best so far (left axis in percent), and reward (right axis). */
export function episodeChart(host: HTMLElement): { readonly chart: LineChart; update(candidates: readonly Candidate[]): void } {
  const chart = new LineChart(host, {
    x: t('Episode'), left: t('Accuracy (%)'), right: t('Reward'), percent: 'left', lines: [
      { label: t('Accuracy (%)'), colour: 'accuracy', style: 'points', digits: 2 }, { label: t('Best so far (%)'), colour: 'best', style: 'steps', digits: 2 },
      { label: t('Reward'), colour: 'reward', style: 'dashed', rightAxis: true, digits: 3 },
    ],
  });
  return {
    chart, update: (candidates) => {
      chart.update(candidates.map(({ episode }) => episode), [candidates.map(({ accuracy }) => 100 * accuracy), bestAccuracies(candidates).map((accuracy) => 100 * accuracy), candidates.map(({ reward }) => reward)]);
    },
  };
}
