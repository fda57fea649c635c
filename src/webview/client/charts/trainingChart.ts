import { t } from '../l10n.ts';
import type { TrainingPoint } from '../state.ts';
import { LineChart } from './lineChart.ts';

/** Epochs one after another: those of fine-tuning go on where refinement ended. */
export function epochsInOrder(training: readonly TrainingPoint[]): readonly number[] {
  const refined = Math.max(0, ...training.filter(({ stage }) => stage === 'refine').map(({ epoch }) => epoch));
  return training.map(({ stage, epoch }) => (stage === 'finetune' ? refined + epoch : epoch));
}

/** Loss of each epoch (left axis) and the accuracy after it (right axis in percent). */
export function trainingChart(host: HTMLElement): { readonly chart: LineChart; update(training: readonly TrainingPoint[]): void } {
  const chart = new LineChart(host, {
    x: t('Epoch'), left: t('Loss'), right: t('Accuracy (%)'), percent: 'right', lines: [
      { label: t('Loss'), colour: 'loss', style: 'points', digits: 4 }, { label: t('Accuracy (%)'), colour: 'accuracy', style: 'points', rightAxis: true, digits: 2 },
    ],
  });
  return { chart, update: (training) => chart.update(epochsInOrder(training), [training.map(({ loss }) => loss), training.map(({ accuracy }) => (accuracy === undefined ? null : 100 * accuracy))]) };
}
