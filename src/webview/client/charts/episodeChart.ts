import uPlot from 'uplot';
import type { Candidate } from '../../../engine/protocol.ts';
import { formatNumber, t } from '../l10n.ts';
import { readColours } from './theme.ts';

/** Accuracy of each episode (points, left axis in percent), best so far (step line), and reward (right axis). */
export class EpisodeChart {
  private plot: uPlot | undefined;
  private data: uPlot.AlignedData = [[], [], [], []];
  private readonly host: HTMLElement;

  constructor(host: HTMLElement) {
    this.host = host;
    new ResizeObserver(() => this.fit()).observe(host);
  }

  update(candidates: readonly Candidate[]): void {
    let best = -Infinity;
    const accuracy = candidates.map((candidate) => 100 * candidate.accuracy);
    this.data = [candidates.map(({ episode }) => episode), accuracy, accuracy.map((value) => (best = Math.max(best, value))), candidates.map(({ reward }) => reward)];
    if (this.plot) this.plot.setData(this.data); else this.build();
  }

  /** Builds the chart anew in the colours of the theme. */
  rebuild(): void { if (this.plot) { this.plot.destroy(); this.plot = undefined; this.build(); } }

  private build(): void {
    if (this.host.clientWidth === 0) return;
    const colours = readColours();
    const axis = { stroke: colours.text, font: colours.font, grid: { stroke: colours.grid, width: 0.5 }, ticks: { stroke: colours.grid, width: 0.5 } };
    const count = (_plot: uPlot, values: number[]) => values.map((value) => (Number.isInteger(value) ? formatNumber(value) : ''));
    this.plot = new uPlot({
      width: this.host.clientWidth, height: 240,
      scales: { x: { time: false }, reward: { auto: true } },
      axes: [
        { ...axis, label: t('Episode'), labelFont: colours.font, values: count },
        { ...axis, label: t('Accuracy (%)'), labelFont: colours.font, size: 56 },
        { ...axis, scale: 'reward', side: 1, label: t('Reward'), labelFont: colours.font, size: 56, grid: { show: false } },
      ],
      series: [
        { label: t('Episode') },
        { label: t('Accuracy (%)'), stroke: colours.accuracy, width: 1, points: { size: 5, fill: colours.accuracy }, value: (_plot, value: number | null) => (value === null ? '-' : formatNumber(value, 2)) },
        { label: t('Best so far (%)'), stroke: colours.best, width: 2, points: { show: false }, paths: uPlot.paths.stepped!({ align: 1 }), value: (_plot, value: number | null) => (value === null ? '-' : formatNumber(value, 2)) },
        { label: t('Reward'), scale: 'reward', stroke: colours.reward, width: 1, dash: [4, 3], points: { show: false }, value: (_plot, value: number | null) => (value === null ? '-' : formatNumber(value, 3)) },
      ],
      cursor: { drag: { x: true, y: false } },
    }, this.data, this.host);
  }

  private fit(): void {
    if (this.host.clientWidth === 0) return;
    if (this.plot) this.plot.setSize({ width: this.host.clientWidth, height: 240 });
    else if (this.data[0].length > 0) this.build();
  }
}
