import type { CompressOptions } from '../../engine/protocol.ts';
import { el } from './dom.ts';
import { layerFigures, layerHeadings } from './layerFigures.ts';
import type { LayerRow } from './state.ts';

/** One row a layer: a bar of what is kept of it, the figures beside it, and the layer's share of the MACs. */
export function layerTable(table: HTMLTableElement, rows: readonly LayerRow[], method: CompressOptions['method']): void {
  if (table.rows.length !== rows.length + 1 || table.dataset['method'] !== method) build(table, rows, method);
  rows.forEach((row, index) => update(table.tBodies[0]!.rows[index]!, row, method));
}

function build(table: HTMLTableElement, rows: readonly LayerRow[], method: CompressOptions['method']): void {
  const { caption, titles } = layerHeadings(method);
  table.dataset['method'] = method;
  table.replaceChildren(
    el('caption', {}, caption),
    el('thead', {}, el('tr', {}, ...titles.map((title, index) => el('th', { scope: 'col', class: index >= 2 ? 'numeric' : undefined }, title)))),
    el('tbody', {}, ...rows.map(() => el('tr', {},
      el('th', { scope: 'row' }), el('td', {}, el('div', { class: 'bar', role: 'img' }, el('div', { class: 'kept' }))),
      el('td', { class: 'numeric' }), el('td', { class: 'numeric' }), el('td', { class: 'numeric' })))),
  );
}

function update(element: HTMLTableRowElement, row: LayerRow, method: CompressOptions['method']): void {
  const [title, bar, kept, removed, share] = [...element.cells], figures = layerFigures(row, method);
  if (element.title === figures.all) return;
  element.title = figures.all;
  title!.textContent = row.name;
  const graphic = bar!.firstElementChild as HTMLElement;
  graphic.setAttribute('aria-label', figures.all);
  (graphic.firstElementChild as HTMLElement).style.width = `${100 * figures.fraction}%`;
  kept!.textContent = figures.kept;
  removed!.textContent = figures.removed;
  share!.textContent = figures.share;
}
