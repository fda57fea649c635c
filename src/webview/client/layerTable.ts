import { el } from './dom.ts';
import { formatNumber, formatPercent, t } from './l10n.ts';
import type { LayerRow } from './state.ts';

/** One row a layer: a bar of kept against original channels, the figures beside it, and the layer's share of the MACs. */
export function layerTable(table: HTMLTableElement, rows: readonly LayerRow[]): void {
  if (table.rows.length !== rows.length + 1) build(table, rows);
  rows.forEach((row, index) => update(table.tBodies[0]!.rows[index]!, row));
}

function build(table: HTMLTableElement, rows: readonly LayerRow[]): void {
  const titles = [t('Layer'), t('Channels kept'), t('Kept'), t('Removed'), t('MACs share')];
  table.replaceChildren(
    el('caption', {}, t('Channels kept by layer')),
    el('thead', {}, el('tr', {}, ...titles.map((title, index) => el('th', { scope: 'col', class: index >= 2 ? 'numeric' : undefined }, title)))),
    el('tbody', {}, ...rows.map(() => el('tr', {},
      el('th', { scope: 'row' }), el('td', {}, el('div', { class: 'bar', role: 'img' }, el('div', { class: 'kept' }))),
      el('td', { class: 'numeric' }), el('td', { class: 'numeric' }), el('td', { class: 'numeric' })))),
  );
}

function update(element: HTMLTableRowElement, { name, opType, channelsBefore, channelsAfter, macsShare, weightSparsity, frozen }: LayerRow): void {
  const [title, bar, kept, removed, share] = [...element.cells];
  const removedFraction = channelsBefore > 0 ? 1 - channelsAfter / channelsBefore : 0;
  const figures = [
    t('{0} ({1})', name, opType), t('{0} of {1} channels kept', formatNumber(channelsAfter), formatNumber(channelsBefore)), t('{0} of the MACs', formatPercent(macsShare)),
    ...(weightSparsity ? [t('{0} of its weights are zero', formatPercent(weightSparsity))] : []), ...(frozen ? [t('left as it is')] : []),
  ].join(', ');
  if (element.title === figures) return;
  element.title = figures;
  title!.textContent = name;
  const graphic = bar!.firstElementChild as HTMLElement;
  graphic.setAttribute('aria-label', figures);
  (graphic.firstElementChild as HTMLElement).style.width = `${100 * (1 - removedFraction)}%`;
  kept!.textContent = `${formatNumber(channelsAfter)} / ${formatNumber(channelsBefore)}`;
  removed!.textContent = frozen ? t('frozen') : removedFraction > 0 ? `-${formatPercent(removedFraction, 0)}` : formatPercent(0, 0);
  share!.textContent = formatPercent(macsShare);
}
