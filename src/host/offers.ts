/** What the extension offers of the engine's targets and methods; package.json's settings accept the same (checked by a test). Pure: no VS Code. */
import { messageOf } from '../engine/errors.ts';
import { type CompressOptions, type Target, compressOptionsSchema, parseCompressOptions, parseTarget } from '../engine/protocol.ts';
import { formatNumber, t } from '../webview/client/l10n.ts';

export const offeredTargets: readonly Target['metric'][] = ['macs', 'latency', 'size', 'params', 'accuracy-drop'];
export const offeredMethods: readonly CompressOptions['method'][] = ['channels', 'weights'];

const usual: Readonly<Record<Target['metric'], readonly number[]>> = { macs: [0.5, 0.33, 0.25], latency: [0.5, 0.7], size: [0.5, 0.25], params: [0.5], 'accuracy-drop': [0.5, 1] };

/** Targets to choose from, as in `macs=0.5`. */
export const targetPresets: readonly string[] = offeredTargets.flatMap((metric) => usual[metric].map((value) => `${metric}=${value}`));
/** Why a run can't have this target; undefined where it can. */
export function targetProblem(text: string, method: CompressOptions['method'] = 'channels'): string | undefined {
  try { parseCompressOptions({ model: 'model', val: 'val', method, target: parseTarget(text) }); return undefined; } catch (error) { return messageOf(error); }
}

/** Why a run can't have this many, as it was typed; no episodes let the time decide. */
export function numberProblem(option: 'episodes' | 'finetune', typed: string): string | undefined {
  const number = typed.trim() === '' ? NaN : Number(typed), { finetune, episodes } = compressOptionsSchema.shape;
  if (option === 'episodes') return number === 0 || episodes.safeParse(number).success ? undefined : t('A whole number from 0 to {0}', formatNumber(episodes.unwrap().maxValue!));
  return finetune.safeParse(number).success ? undefined : t('A whole number from 0 to {0}', formatNumber(finetune.unwrap().maxValue!));
}

/** Targets to choose from that the method can reach, `first` before the others. */
export const targetsFor = (method: CompressOptions['method'] | undefined, first: string): readonly string[] => [...new Set([first, ...targetPresets])].filter((text) => targetProblem(text, method) === undefined);

/** What can be typed: `macs=R, params=R, size=R`. */
export const targetForms: string = offeredTargets.map((metric) => (metric === 'accuracy-drop' ? `${metric}=P` : `${metric}=R`)).join(', ');
