import '@vscode-elements/elements/dist/vscode-button/index.js';
import '@vscode-elements/elements/dist/vscode-textfield/index.js';
import type { Inspection } from '../../engine/protocol.ts';
import type { ModelViewMessage } from '../protocol.ts';
import { el, setText } from './dom.ts';
import { formatBytes, formatCount, formatNumber, formatPercent, t } from './l10n.ts';

type Layer = Inspection['layers'][number];
interface LayerColumn { readonly title: string; readonly numeric: boolean; readonly text: (layer: Layer) => string; readonly key: (layer: Layer) => number | string }
/** Which layers are shown, in which order; kept when the tab is hidden and when the file changes. */
export interface LayerChoice { readonly search?: string; readonly sort?: { readonly column: number; readonly descending: boolean } }

/** The read-only editor of a model: what it is, and a table of its layers that can be searched and sorted. */
export class ModelView {
  private readonly inspection: Inspection;
  private readonly columns: readonly LayerColumn[];
  private readonly remember: (choice: LayerChoice) => void;
  private choice: LayerChoice;
  private readonly body = el('tbody');
  private readonly headings: HTMLElement[];
  private readonly count = el('p', { id: 'layer-count', class: 'muted', role: 'status' });

  constructor(root: HTMLElement, inspection: Inspection, { send, remember }: { send(message: ModelViewMessage): void; remember(choice: LayerChoice): void }, choice: LayerChoice) {
    this.inspection = inspection;
    this.remember = remember;
    this.choice = choice;
    this.columns = layerColumns(inspection);
    this.headings = this.columns.map(({ title, numeric }, index) =>
      el('th', { scope: 'col', class: numeric ? 'numeric' : undefined }, el('button', { class: 'sort', onclick: () => this.sortBy(index) }, title)));
    root.replaceChildren(
      el('header', {},
        el('h1', {}, inspection.path.split(/[\\/]/).at(-1)!),
        summaryList(inspection),
        el('div', { class: 'actions' },
          el('vscode-button', { 'data-action': 'compress', onclick: () => send({ type: 'action', action: 'compress' }) }, t('Auto-Compress...')),
          el('vscode-button', { secondary: true, 'data-action': 'showText', onclick: () => send({ type: 'action', action: 'showText' }) }, t('Show as text')))),
      el('section', { 'aria-labelledby': 'layers-title' },
        el('h2', { id: 'layers-title' }, t('Layers')),
        el('vscode-textfield', { id: 'search', value: choice.search, placeholder: t('Search layers'), label: t('Search layers'), 'aria-label': t('Search layers'), oninput: (event) => this.choose({ search: (event.target as HTMLInputElement).value }) }),
        this.count,
        el('div', { class: 'scroll tall', tabindex: 0, role: 'group', 'aria-label': t('Layers') },
          el('table', { id: 'model-layers' }, el('caption', { class: 'hidden-visually' }, t('Layers of the model')), el('thead', {}, el('tr', {}, ...this.headings)), this.body))),
    );
    this.render();
  }

  static showFailure(root: HTMLElement, message: string): void {
    root.replaceChildren(el('h1', {}, t("This model can't be shown")), el('p', { class: 'problem', role: 'alert' }, message));
  }

  private sortBy(column: number): void {
    const { sort } = this.choice, descending = sort?.column === column ? !sort.descending : this.columns[column]!.numeric;
    this.choose({ sort: { column, descending } });
  }

  private choose(choice: LayerChoice): void {
    this.choice = { ...this.choice, ...choice };
    this.remember(this.choice);
    this.render();
  }

  private render(): void {
    const { choice: { search = '', sort }, columns } = this, wanted = search.toLowerCase();
    const found = this.inspection.layers.filter((layer) => columns.some(({ text }) => text(layer).toLowerCase().includes(wanted)));
    if (sort) {
      const { key } = columns[sort.column]!;
      found.sort((a, b) => { const [x, y] = [key(a), key(b)]; return (x < y ? -1 : x > y ? 1 : 0) * (sort.descending ? -1 : 1); });
    }
    this.headings.forEach((heading, index) => { heading.setAttribute('aria-sort', sort?.column === index ? (sort.descending ? 'descending' : 'ascending') : 'none'); });
    setText(this.count, t('{0} of {1} layers', formatNumber(found.length), formatNumber(this.inspection.layers.length)));
    this.body.replaceChildren(...found.map((layer) => el('tr', {}, ...columns.map(({ text, numeric }, index) =>
      el(index === 0 ? 'th' : 'td', { scope: index === 0 ? 'row' : undefined, class: numeric ? 'numeric' : undefined }, text(layer))))));
  }
}

function layerColumns({ macs, groups }: Inspection): readonly LayerColumn[] {
  const channels = (layer: Layer) => (layer.prunable ? groups[layer.group]?.channels : undefined);
  return [
    { title: t('Layer'), numeric: false, text: ({ name }) => name, key: ({ name }) => name },
    { title: t('Operator'), numeric: false, text: ({ opType }) => opType, key: ({ opType }) => opType },
    { title: t('Weight shape'), numeric: false, text: ({ weightShape }) => weightShape.join(' x '), key: ({ weightShape }) => weightShape.reduce((a, b) => a * b, 1) },
    { title: t('Parameters'), numeric: true, text: ({ params }) => formatNumber(params), key: ({ params }) => params },
    { title: t('MACs'), numeric: true, text: (layer) => formatCount(layer.macs), key: (layer) => layer.macs },
    { title: t('MACs share'), numeric: true, text: (layer) => formatPercent(macs > 0 ? layer.macs / macs : 0), key: (layer) => layer.macs },
    { title: t('Zero weights'), numeric: true, text: ({ weightSparsity }) => formatPercent(weightSparsity), key: ({ weightSparsity }) => weightSparsity },
    {
      title: t('Prunable'), numeric: false, key: (layer) => channels(layer) ?? -1,
      text: (layer) => (layer.prunable ? t('yes, {0} channels', formatNumber(channels(layer) ?? layer.outChannels)) : t('no: {0}', layer.reason ?? t('its channels are fixed'))),
    },
  ];
}

function summaryList({ sizeBytes, macs, params, nodes, opset, producer, inputs, outputs, layers, groups }: Inspection): HTMLElement {
  const values = (list: Inspection['inputs']) => list.map(({ name, elementType, shape }) => `${name}: ${elementType}[${shape.join(', ')}]`).join('; ');
  const facts: readonly (readonly [string, string])[] = [
    [t('File'), formatBytes(sizeBytes)], [t('MACs'), formatCount(macs)], [t('Parameters'), formatCount(params)],
    [t('Nodes'), formatNumber(nodes)], [t('Prunable layers'), t('{0} of {1}', layers.filter(({ prunable }) => prunable).length, layers.length)], [t('Pruning groups'), formatNumber(groups.length)],
    [t('Opset'), String(opset)], [t('Producer'), producer || t('unknown')], [t('Inputs'), values(inputs)], [t('Outputs'), values(outputs)],
  ];
  return el('dl', { class: 'facts' }, ...facts.map(([name, value]) => el('div', {}, el('dt', {}, name), el('dd', {}, value))));
}
