/** What compression did to each layer, and how that is written beside the layer. Pure: no VS Code. */
import type { LayerReport } from '../engine/protocol.ts';
import { formatNumber, formatPercent, t } from '../webview/client/l10n.ts';
import { keptFraction } from '../webview/client/state.ts';
import type { ExportedLayer } from './python/matchLayers.ts';

/** A layer before and after, with the names by which sources know it. */
export interface LayerChange extends ExportedLayer, Pick<LayerReport, 'channelsBefore' | 'channelsAfter' | 'macsBefore' | 'macsAfter' | 'weightSparsity'> {}

export interface ModelChanges { readonly modelPath: string; readonly outPath: string; readonly layers: readonly LayerChange[] }

const percent = (fraction: number) => formatPercent(fraction, 0);
type Kept = Pick<LayerChange, 'channelsBefore' | 'channelsAfter' | 'weightSparsity'>;
/** Whether single weights went, and no channel. */
const lostWeights = ({ channelsBefore, channelsAfter, weightSparsity }: Kept) => channelsAfter >= channelsBefore && weightSparsity >= 0.005;
const barCells = 8;

/** A bar of eight cells: full ones are what is kept. */
export function bar(keptFraction: number): string {
  const full = Math.max(0, Math.min(barCells, Math.round(barCells * keptFraction)));
  return '\u25B0'.repeat(full) + '\u25B1'.repeat(barCells - full);
}

/** `-43% (64 -> 36 channels)`; weights instead of channels where only those were removed. */
export function changeText(change: Kept): string {
  const { channelsBefore, channelsAfter } = change;
  if (channelsAfter < channelsBefore) return t('-{0} ({1} -> {2} channels)', percent(1 - keptFraction(change)), channelsBefore, channelsAfter);
  return lostWeights(change) ? weightsText(keptFraction(change)) : t('all {0} channels', channelsBefore);
}

/** `-80% weights`. */
export const weightsText = (kept: number): string => t('-{0} weights', percent(1 - kept));

export const changeLabel = (change: Kept): string => `${bar(keptFraction(change))} ${changeText(change)}`;

/** One text for a definition that makes several layers: `-25% to -60% in 3 layers`. */
export function changesText(changes: readonly LayerChange[]): string {
  const [first] = changes;
  if (changes.length === 1 && first) return changeText(first);
  const fractions = changes.map((change) => 1 - keptFraction(change)).sort((a, b) => a - b);
  const [low, high] = [percent(fractions[0] ?? 0), percent(fractions.at(-1) ?? 0)];
  if (changes.some(lostWeights) && changes.every(({ channelsBefore, channelsAfter }) => channelsAfter >= channelsBefore)) return low === high ? t('-{0} weights in {1} layers', low, changes.length) : t('-{0} to -{1} weights in {2} layers', low, high, changes.length);
  return low === high ? t('-{0} in {1} layers', low, changes.length) : t('-{0} to -{1} in {2} layers', low, high, changes.length);
}

/** Markdown for hovers: one row a layer, before and after. */
export function changesTable(changes: readonly LayerChange[]): string {
  const count = (value: number) => formatNumber(value);
  const rows = changes.map(({ name, channelsBefore, channelsAfter, macsBefore, macsAfter, weightSparsity }) =>
    `| \`${name.replaceAll('|', '\\|')}\` | ${count(channelsBefore)} -> ${count(channelsAfter)} | ${count(macsBefore)} -> ${count(macsAfter)} | ${percent(weightSparsity)} |`);
  return [`| ${t('Layer')} | ${t('Channels')} | ${t('MACs')} | ${t('Zero weights')} |`, '| --- | ---: | ---: | ---: |', ...rows].join('\n');
}
