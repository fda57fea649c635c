/** Results and progress in words. */
import type { Report, Stage } from '../../engine/protocol.ts';
import { formatExactPercent, formatList, formatNumber, formatPercent, formatSeconds, t } from './l10n.ts';
import { type RunView, isWon, outcomeOf } from './state.ts';

/** `2.0x fewer MACs, 1.7x faster on this machine, 0.6 points of accuracy lost on 5,000 images`; or where single weights were pruned `5.0x fewer weights that are not zero, 3.7x smaller in a zip, ...`. */
export function outcomeSentence(report: Report): string {
  const { macsRatio, speedRatio, speedChanged, sizeRatio, pointsLost, accuracy, weights } = outcomeOf(report);
  const speed = !speedChanged ? t('no clear difference in speed on this machine')
    : speedRatio > 1 ? t('{0}x faster on this machine', formatNumber(speedRatio, 1)) : t('{0}x slower on this machine', formatNumber(1 / speedRatio, 1));
  const points = formatNumber(Math.abs(pointsLost), 1);
  const images = formatNumber(accuracy.images);
  const smaller = weights ? [t('{0}x fewer weights that are not zero', formatNumber(weights.nonZeroRatio, 1)), t('{0}x smaller in a zip', formatNumber(weights.zipRatio, 1))]
    : [t('{0}x fewer MACs', formatNumber(macsRatio, 1)), speed, t('{0}x smaller file', formatNumber(sizeRatio, 1))];
  return [
    ...smaller,
    isWon(pointsLost) ? t('{0} points of accuracy won on {1} images ({2})', points, images, formatPercent(accuracy.value)) : t('{0} points of accuracy lost on {1} images ({2})', points, images, formatPercent(accuracy.value)),
  ].join(', ') + '.';
}

/** `1.7x faster`. @param speedRatio time of the original / time of the other */
export const speedText = (speedRatio: number, digits = 1): string => (speedRatio >= 1 ? t('{0}x faster', formatNumber(speedRatio, digits)) : t('{0}x slower', formatNumber(1 / speedRatio, digits)));

/** `Reconstructed 85.2%, refined 87.1%, fine-tuned 89.0%.`; empty where there was one step only. */
export function stepsSentence({ steps }: Pick<Report, 'steps'>): string {
  if (steps.length < 2) return '';
  const said = { reconstruct: t('Reconstructed {0}'), refine: t('refined {0}'), finetune: t('fine-tuned {0}') } as const;
  return steps.map(({ step, accuracy }) => said[step].replace('{0}', formatPercent(accuracy))).join(', ') + '.';
}

/** `macs=0.5,latency=0.6` in words. */
export const costSentence = (target: string): string => formatList(target.split(',').map(budgetSentence));

function budgetSentence(budget: string): string {
  const [metric = '', value = ''] = budget.split('=');
  const percent = formatExactPercent(Number(value));
  switch (metric) {
    case 'macs': return t('at most {0} of the MACs', percent);
    case 'params': return t('at most {0} of the parameters', percent);
    case 'size': return t('at most {0} of the file size', percent);
    case 'latency': return t('at most {0} of the time', percent);
    case 'accuracy-drop': return t('at most {0} points of accuracy lost', value);
    default: return budget;
  }
}

/** A stage by its name; a newer engine may have one that is unknown here. */
export const stageText = (stage: string): string => (({
  load: t('Read the model'), analyse: t('Find what can be pruned'), data: t('Read the images'), calibrate: t('Collect features'), search: t('Search'), rebuild: t('Rebuild the best model'),
  refine: t('Refine'), finetune: t('Fine-tune'), report: t('Measure and report'),
} satisfies Record<Stage, string>) as Record<string, string>)[stage] ?? stage;

/** `Episode 12 of 40, best 91.2%, 2 min 5 s left`. */
export function progressSentence({ stage, candidates, bestEpisode, episodesPlanned, secondsLeft, training }: RunView): string {
  const parts: string[] = [];
  const trained = training.at(-1);
  if (trained && trained.stage === stage) {
    parts.push(t('Epoch {0} of {1}', formatNumber(trained.epoch, Number.isInteger(trained.epoch) ? 0 : 1), formatNumber(trained.epochs)), t('loss {0}', formatNumber(trained.loss, 3)));
    if (trained.accuracy !== undefined) parts.push(t('accuracy {0}', formatPercent(trained.accuracy)));
  }
  else if (candidates.length > 0) {
    parts.push(t('Episode {0} of {1}', candidates.at(-1)!.episode, episodesPlanned));
    const best = candidates.find(({ episode }) => episode === bestEpisode);
    if (best) parts.push(t('best accuracy {0}', formatPercent(best.accuracy)));
  }
  if (secondsLeft !== undefined && secondsLeft > 0) parts.push(t('{0} left', formatSeconds(secondsLeft)));
  return parts.join(', ');
}
