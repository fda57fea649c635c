/** What compression did to each layer, and how that is written beside the layer. Pure: no VS Code. */
import type { LayerReport } from '../engine/protocol.ts';
import { formatNumber, formatPercent, t } from '../webview/client/l10n.ts';
import type { ExportedLayer } from './python/matchLayers.ts';

/** A layer before and after, with the names by which sources know it. */
export interface LayerChange extends ExportedLayer, Pick<LayerReport, 'channelsBefore' | 'channelsAfter' | 'macsBefore' | 'macsAfter' | 'weightSparsity'> {}

export interface ModelChanges { readonly modelPath: string; readonly outPath: string; readonly layers: readonly LayerChange[] }

const percent = (fraction: number) => formatPercent(fraction, 0);
const removed = (before: number, after: number) => (before > 0 ? 1 - after / before : 0);
const barCells = 8;

/** A bar of eight cells: full ones are what is kept. */
export function bar(keptFraction: number): string {
  const full = Math.max(0, Math.min(barCells, Math.round(barCells * keptFraction)));
  return '\u25B0'.repeat(full) + '\u25B1'.repeat(barCells - full);
}

/** `-43% (64 -> 36 channels)`; weights instead of channels where only those were removed. */
export function changeText({ channelsBefore, channelsAfter, weightSparsity }: Pick<LayerChange, 'channelsBefore' | 'channelsAfter' | 'weightSparsity'>): string {
  if (channelsAfter < channelsBefore) return t('-{0} ({1} -> {2} channels)', percent(removed(channelsBefore, channelsAfter)), channelsBefore, channelsAfter);
  if (weightSparsity >= 0.005) return t('-{0} weights', percent(weightSparsity));
  return t('all {0} channels', channelsBefore);
}

export const changeLabel = (change: LayerChange): string => `${bar(change.channelsBefore > 0 ? change.channelsAfter / change.channelsBefore : 1)} ${changeText(change)}`;

/** One text for a definition that makes several layers: `-25% to -60% in 3 layers`. */
export function changesText(changes: readonly LayerChange[]): string {
  const [first] = changes;
  if (changes.length === 1 && first) return changeText(first);
  const fractions = changes.map(({ channelsBefore, channelsAfter }) => removed(channelsBefore, channelsAfter)).sort((a, b) => a - b);
  const [low, high] = [percent(fractions[0] ?? 0), percent(fractions.at(-1) ?? 0)];
  return low === high ? t('-{0} in {1} layers', low, changes.length) : t('-{0} to -{1} in {2} layers', low, high, changes.length);
}

/** Markdown for hovers: one row a layer, before and after. */
export function changesTable(changes: readonly LayerChange[]): string {
  const count = (value: number) => formatNumber(value);
  const rows = changes.map(({ name, channelsBefore, channelsAfter, macsBefore, macsAfter, weightSparsity }) =>
    `| \`${name.replaceAll('|', '\\|')}\` | ${count(channelsBefore)} -> ${count(channelsAfter)} | ${count(macsBefore)} -> ${count(macsAfter)} | ${percent(weightSparsity)} |`);
  return [`| ${t('Layer')} | ${t('Channels')} | ${t('MACs')} | ${t('Zero weights')} |`, '| --- | ---: | ---: | ---: |', ...rows].join('\n');
}
