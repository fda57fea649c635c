import * as vscode from 'vscode';
import type { Report } from '../engine/protocol.ts';
import { type ListedOutcome, type RunStatus, type RunView, isWon, outcomeOf } from '../webview/client/state.ts';
import { speedText, stageText } from '../webview/client/words.ts';
import type { RunRecord } from './runStore.ts';

const number = (value: number, digits: number) => value.toLocaleString(vscode.env.language, { minimumFractionDigits: digits, maximumFractionDigits: digits });

/** When a run was made; empty where that is not known. */
export const createdText = ({ createdMs }: RunRecord): string => (createdMs > 0 ? new Date(createdMs).toLocaleString(vscode.env.language, { dateStyle: 'medium', timeStyle: 'short' }) : '');

/** `macs=0.5,latency=0.6` for people. */
export const targetText = (target: string): string => new Intl.ListFormat(vscode.env.language).format(target.split(',').map(budgetText));

function budgetText(budget: string): string {
  const [metric = '', value = ''] = budget.split('=');
  const amount = Number(value);
  switch (metric) {
    case 'macs': return vscode.l10n.t('{0}x fewer MACs', number(1 / amount, 1));
    case 'params': return vscode.l10n.t('{0}x fewer parameters', number(1 / amount, 1));
    case 'size': return vscode.l10n.t('{0}x smaller file', number(1 / amount, 1));
    case 'latency': return vscode.l10n.t('{0}x faster', number(1 / amount, 1));
    case 'accuracy-drop': return vscode.l10n.t('as small as possible, losing at most {0} points of accuracy', value);
    default: return budget;
  }
}

export const statusText = (status: RunStatus): string => ({
  queued: vscode.l10n.t('waiting'), running: vscode.l10n.t('running'), stopping: vscode.l10n.t('stopping'), stopped: vscode.l10n.t('stopped'), interrupted: vscode.l10n.t('interrupted'),
  crashed: vscode.l10n.t('crashed'), failed: vscode.l10n.t('failed'), done: vscode.l10n.t('done'),
})[status];

/** `2.0x fewer MACs, 1.7x faster, 0.6 points lost`, for lists; or where single weights were pruned `5.0x fewer weights, 3.7x smaller in a zip, ...`. */
export function outcomeText({ macsRatio, speedRatio, speedChanged, pointsLost, weights }: ListedOutcome): string {
  const speed = !speedChanged ? vscode.l10n.t('as fast') : speedText(speedRatio);
  const smaller = weights ? [vscode.l10n.t('{0}x fewer weights', number(weights.nonZeroRatio, 1)), vscode.l10n.t('{0}x smaller in a zip', number(weights.zipRatio, 1))] : [vscode.l10n.t('{0}x fewer MACs', number(macsRatio, 1)), speed];
  const points = number(Math.abs(pointsLost), 1);
  return [...smaller, isWon(pointsLost) ? vscode.l10n.t('{0} points won', points) : vscode.l10n.t('{0} points lost', points)].join(', ');
}

export const reportText = (report: Report): string => vscode.l10n.t('{0} on {1} images', outcomeText(outcomeOf(report)), report.after.accuracy.images.toLocaleString(vscode.env.language));

/** `episode 12/40, best 91.2%, 2 min left` for the status bar and the notification. */
export function progressText({ stage, candidates, bestEpisode, episodesPlanned, secondsLeft, training }: RunView): string {
  const parts: string[] = [];
  const trained = training.at(-1);
  if (trained && trained.stage === stage) parts.push(trained.stage === 'refine' ? vscode.l10n.t('refining, epoch {0}/{1}', Math.ceil(trained.epoch), trained.epochs) : vscode.l10n.t('fine-tuning, epoch {0}/{1}', Math.ceil(trained.epoch), trained.epochs));
  else if (stage === 'search' && candidates.length > 0) {
    parts.push(vscode.l10n.t('episode {0}/{1}', candidates.at(-1)!.episode, episodesPlanned));
    const best = candidates.find(({ episode }) => episode === bestEpisode);
    if (best) parts.push(vscode.l10n.t('best {0}%', number(100 * best.accuracy, 1)));
  } else parts.push(stage ? stageText(stage) : vscode.l10n.t('starting'));
  if (secondsLeft !== undefined && secondsLeft > 0) parts.push(secondsLeft < 90 ? vscode.l10n.t('{0} s left', Math.ceil(secondsLeft)) : vscode.l10n.t('{0} min left', Math.ceil(secondsLeft / 60)));
  return parts.join(', ');
}
