/** What the dashboard says of layers: of their channels, or of their weights where single ones are removed. */
import type { CompressOptions } from '../../engine/protocol.ts';
import { formatNumber, formatPercent, t } from './l10n.ts';
import { type LayerRow, type Point, keptFraction } from './state.ts';

type Method = CompressOptions['method'];

/** Whose layers are shown. */
export function layersTitle(shown: Point | undefined, method: Method): string {
  const weights = method === 'weights';
  if (!shown) return weights ? t('Weights of the original') : t('Channels of the original');
  if (shown.kind === 'written') return weights ? t('Weights of the written model') : t('Channels of the written model');
  const name = shown.episode === undefined ? shown.label : t('episode {0}', shown.episode);
  return weights ? t('Weights of {0}', name) : t('Channels of {0}', name);
}

/** Caption and headings of the table of layers. */
export const layerHeadings = (method: Method): { readonly caption: string; readonly titles: readonly string[] } => ({
  caption: method === 'weights' ? t('Weights kept by layer') : t('Channels kept by layer'),
  titles: [t('Layer'), method === 'weights' ? t('Weights kept') : t('Channels kept'), t('Kept'), t('Removed'), t('MACs share')],
});

/** The figures of a layer: how much of it is kept, as a fraction and in words, and all of it in one line. */
export function layerFigures(row: LayerRow, method: Method): { readonly fraction: number; readonly kept: string; readonly removed: string; readonly share: string; readonly all: string } {
  const { name, opType, channelsBefore, channelsAfter, macsShare, weightSparsity, frozen } = row, weights = method === 'weights', fraction = keptFraction(weights ? row : { channelsBefore, channelsAfter }), share = formatPercent(macsShare);
  const all = [
    t('{0} ({1})', name, opType), weights ? t('{0} of its weights kept', formatPercent(fraction)) : t('{0} of {1} channels kept', formatNumber(channelsAfter), formatNumber(channelsBefore)), t('{0} of the MACs', share),
    ...(weightSparsity && !weights ? [t('{0} of its weights are zero', formatPercent(weightSparsity))] : []), ...(frozen ? [t('left as it is')] : []),
  ];
  return {
    fraction, kept: weights ? formatPercent(fraction) : `${formatNumber(channelsAfter)} / ${formatNumber(channelsBefore)}`, removed: frozen ? t('frozen') : fraction < 1 ? `-${formatPercent(1 - fraction, 0)}` : formatPercent(0, 0),
    share, all: all.join(', '),
  };
}
