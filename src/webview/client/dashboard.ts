import '@vscode-elements/elements/dist/vscode-badge/index.js';
import '@vscode-elements/elements/dist/vscode-button/index.js';
import '@vscode-elements/elements/dist/vscode-radio-group/index.js';
import '@vscode-elements/elements/dist/vscode-radio/index.js';
import type { BenchmarkResult, Latency } from '../../engine/protocol.ts';
import type { DashboardMessage, RunInfo } from '../protocol.ts';
import type { CellButton } from './cells.ts';
import { episodeChart } from './charts/episodeChart.ts';
import { ScatterChart, axisWords, kindLabel } from './charts/scatterChart.ts';
import { onThemeChange } from './charts/theme.ts';
import { epochsInOrder, trainingChart } from './charts/trainingChart.ts';
import { el, setText, show, throttleToFrame } from './dom.ts';
import { formatNumber, formatPercent, formatSeconds, t } from './l10n.ts';
import { layersTitle } from './layerFigures.ts';
import { layerTable } from './layerTable.ts';
import { pointButtons } from './pointButtons.ts';
import { type CostAxis, type Point, type RunStatus, type RunView, layerRows, methodOf, shownAxes, shownPoint, tradeOffPoints } from './state.ts';
import { Table } from './table.ts';
import { costSentence, outcomeSentence, progressSentence, stageText, stepsSentence } from './words.ts';

/** What is chosen on screen: a point of the trade-off, and its axis of cost. */
export interface Choice { readonly chosen?: string; readonly axis?: CostAxis }
interface Connection { readonly send: (message: DashboardMessage) => void; readonly remember: (choice: Choice) => void }

const statusText = (status: RunStatus): string => ({
  queued: t('Waiting'), running: t('Running'), stopping: t('Stopping'), stopped: t('Stopped'), interrupted: t('Interrupted'), crashed: t('Crashed'), failed: t('Failed'), done: t('Done'),
})[status];

/** The dashboard of one run. It holds only what is chosen on screen; the run itself arrives from the host. */
export class Dashboard {
  private view: RunView | undefined;
  private info: RunInfo | undefined;
  private choice: Choice;
  private readonly connection: Connection;
  private readonly draw = throttleToFrame(() => this.render());

  private readonly title = el('h1');
  private readonly target = el('p', { class: 'muted' });
  private readonly status = el('vscode-badge', { id: 'status', role: 'status' });
  private readonly actions = el('div', { class: 'actions' });
  private readonly summary = el('p', { id: 'summary', class: 'summary', 'aria-live': 'polite' });
  private readonly steps = el('p', { id: 'steps', class: 'muted' });
  private readonly problem = el('p', { id: 'problem', class: 'problem', role: 'alert' });
  private readonly progress = el('progress', { id: 'progress', 'aria-label': t('Progress of the run'), max: 1 });
  private readonly progressText = el('p', { id: 'progress-text', class: 'muted' });
  private readonly episodeHost = el('div', { class: 'chart', 'aria-hidden': 'true' });
  private readonly episodeTable = new Table({ id: 'episodes' });
  private readonly episodeDetails = details(t('Episodes as a table'), this.episodeTable.element);
  private readonly trainingHost = el('div', { class: 'chart', 'aria-hidden': 'true' });
  private readonly trainingTable = new Table({ id: 'training' });
  private readonly trainingCard = card('training-card', t('Training'), this.trainingHost, details(t('Epochs as a table'), this.trainingTable.element));
  private readonly axisChoice = el('vscode-radio-group', { class: 'axis', 'aria-label': t('Cost on the horizontal axis') });
  private readonly scatterHost = el('div', { class: 'chart', 'aria-hidden': 'true' });
  private readonly pointTable = new Table({ id: 'points' });
  private readonly layersTitle = el('p', { id: 'layers-of', class: 'muted', 'aria-live': 'polite' });
  private readonly layers = el('table', { id: 'layers', class: 'layers' });
  private readonly stages = new Table({ id: 'stages' });
  private readonly benchmark = new Table({ id: 'benchmark' });
  private readonly notes = el('ul', { id: 'notes' });
  private readonly episodeChart = episodeChart(this.episodeHost);
  private readonly trainingChart = trainingChart(this.trainingHost);
  private readonly scatterChart = new ScatterChart(this.scatterHost, ({ id }) => this.choose({ chosen: id }));

  constructor(root: HTMLElement, connection: Connection, choice: Choice) {
    this.connection = connection;
    this.choice = choice;
    root.replaceChildren(
      el('header', {}, el('div', { class: 'heading' }, this.title, this.status), this.target, this.summary, this.steps, this.problem, this.progress, this.progressText, this.actions),
      el('div', { class: 'cards' },
        card('episodes-card', t('Accuracy and reward by episode'), this.episodeHost, this.episodeDetails),
        card('tradeoff-card', t('Trade-off'), this.axisChoice, this.scatterHost, details(t('Networks as a table'), this.pointTable.element, true)),
        this.trainingCard,
        card('figures-card', t('Figures'), this.benchmark.element, this.stages.element, this.notes),
        card('layers-card', t('Layers'), this.layersTitle, scrolling(t('Layers'), this.layers)),
      ),
    );
    this.episodeDetails.addEventListener('toggle', this.draw);
    onThemeChange(() => { for (const chart of [this.episodeChart.chart, this.trainingChart.chart, this.scatterChart]) chart.rebuild(); });
  }

  static showGone(root: HTMLElement): void {
    root.replaceChildren(el('h1', {}, t('This run is gone')), el('p', {}, t('Its folder was deleted. Start a new one with "Auto-Compress: Compress Model...".')));
  }

  update(view: RunView, info: RunInfo | undefined = this.info): void {
    this.view = view;
    this.info = info;
    this.draw();
  }

  private get axis(): CostAxis { return this.choice.axis ?? 'macs'; }

  private choose(choice: Choice): void {
    this.choice = { ...this.choice, ...choice };
    this.connection.remember(this.choice);
    this.draw();
  }

  /** The axes to choose from; made anew only when there is another one. */
  private renderAxes(axes: readonly CostAxis[]): void {
    if (this.axisChoice.dataset['axes'] === axes.join()) return;
    this.axisChoice.dataset['axes'] = axes.join();
    this.axisChoice.replaceChildren(...axes.map((axis) => el('vscode-radio', { name: 'axis', value: axis, checked: axis === this.axis, label: axisWords(axis).short, onchange: () => this.choose({ axis }) })));
  }

  private render(): void {
    const { view, info } = this;
    if (!view || !info) return;
    const active = info.status === 'running' || info.status === 'stopping' || info.status === 'queued';
    setText(this.title, info.modelName);
    setText(this.target, t('Target: {0}', costSentence(info.target)) + (view.data ? ` · ${t('{0} images, original accuracy {1}', formatNumber(view.data.images), formatPercent(view.data.accuracy))}` : ''));
    setText(this.status, statusText(info.status));
    this.status.setAttribute('data-status', info.status);
    setText(this.summary, view.report ? outcomeSentence(view.report) : '');
    show(this.summary, view.report !== undefined);
    setText(this.steps, view.report ? stepsSentence(view.report) : '');
    show(this.steps, this.steps.textContent !== '');
    setText(this.problem, info.problem ?? '');
    show(this.problem, info.problem !== undefined);
    this.renderProgress(view, info, active);
    this.renderActions(info);
    this.renderEpisodes(view);
    this.renderTraining(view);
    this.renderTradeOff(view);
    this.renderLayers(view);
    this.renderFigures(view, info);
  }

  private renderProgress(view: RunView, info: RunInfo, active: boolean): void {
    show(this.progress, active);
    show(this.progressText, active);
    if (!active) return;
    const { stageFraction } = view;
    if (stageFraction === undefined) this.progress.removeAttribute('value'); else this.progress.value = stageFraction;
    setText(this.progressText, info.status === 'queued' ? t('Waits until the run before it is done.') : [view.stage ? stageText(view.stage) : t('Starting'), view.stageMessage, progressSentence(view)].filter(Boolean).join(' · '));
  }

  private renderActions({ status, resumable }: RunInfo): void {
    const shown = `${status} ${resumable}`;
    if (this.actions.dataset['shown'] === shown) return; // keeps the keyboard focus where it is
    this.actions.dataset['shown'] = shown;
    const button = (action: Extract<DashboardMessage, { type: 'action' }>['action'], label: string, secondary = true) =>
      el('vscode-button', { secondary, 'data-action': action, onclick: () => this.connection.send({ type: 'action', action }) }, label);
    this.actions.replaceChildren(
      ...(status === 'running' || status === 'queued' ? [button('stop', t('Stop'))] : []),
      ...(resumable ? [button('resume', t('Resume'), false)] : []),
      ...(status === 'done' ? [button('openResult', t('Open compressed model'), false), button('compare', t('Compare with original')), button('benchmark', t('Benchmark')), button('openReport', t('Open report'))] : []),
    );
  }

  private renderEpisodes(view: RunView): void {
    const { candidates, bestEpisode } = view;
    this.episodeChart.update(candidates);
    if (!this.episodeDetails.open) return; // thousands of rows are made only when someone looks
    const shown = shownPoint(view, this.choice.chosen), points = new Map(tradeOffPoints(view, 'macs').map((point) => [point.episode, point]));
    this.episodeTable.update(t('Every episode'), [{ title: t('Episode'), numeric: true }, { title: t('Accuracy'), numeric: true }, { title: t('MACs'), numeric: true }, { title: t('Reward'), numeric: true }, { title: t('Layers') }, { title: t('Model') }],
      candidates.map(({ episode, accuracy, macs, reward }) => ({ id: episode, cells: [
        episode === bestEpisode ? t('{0} (best)', episode) : String(episode), formatPercent(accuracy, 2), formatPercent(macs), formatNumber(reward, 3), ...this.buttonsOf(points.get(episode)!, shown, view),
      ] })));
  }

  private renderTraining({ training }: RunView): void {
    show(this.trainingCard, training.length > 0);
    if (training.length === 0) return;
    this.trainingChart.update(training);
    const epochs = epochsInOrder(training);
    this.trainingTable.update(t('Loss and accuracy by epoch'), [{ title: t('Epoch'), numeric: true }, { title: t('Step') }, { title: t('Loss'), numeric: true }, { title: t('Accuracy'), numeric: true }],
      training.map(({ stage, loss, accuracy }, index) => ({ id: index, cells: [formatNumber(epochs[index]!, Number.isInteger(epochs[index]) ? 0 : 1), stageText(stage), formatNumber(loss, 4), accuracy === undefined ? '' : formatPercent(accuracy, 2)] })));
  }

  private renderTradeOff(view: RunView): void {
    this.renderAxes(shownAxes(view));
    const points = tradeOffPoints(view, this.axis);
    const shown = shownPoint(view, this.choice.chosen);
    this.scatterChart.update(points, shown?.id, this.axis);
    const listed = points.filter(({ kind, id }) => kind !== 'candidate' || id === shown?.id);
    this.pointTable.update(t('Pareto front, baselines, original and written model'),
      [{ title: t('Network') }, { title: axisWords(this.axis).short, numeric: true }, { title: t('Accuracy'), numeric: true }, { title: t('Layers') }, { title: t('Model') }],
      listed.map((point) => ({ id: point.id, cells: [
        `${kindLabel(point.kind)} ${point.episode === undefined ? point.label : t('(episode {0})', point.episode)}`.trim(), formatPercent(point.cost), formatPercent(point.accuracy, 2), ...this.buttonsOf(point, shown, view),
      ] })));
  }

  private buttonsOf(point: Point, shown: Point | undefined, { runDir }: RunView): readonly (string | CellButton)[] {
    return pointButtons(point, shown, { choose: (id) => this.choose({ chosen: id }), write: runDir === undefined ? undefined : (episode) => this.connection.send({ type: 'export', episode }) });
  }

  private renderLayers(view: RunView): void {
    const shown = shownPoint(view, this.choice.chosen);
    const method = methodOf(view, this.info?.method);
    setText(this.layersTitle, layersTitle(shown, method));
    layerTable(this.layers, layerRows(view, shown, method), method);
  }

  private renderFigures({ report, data, warnings }: RunView, info: RunInfo): void {
    if (info.benchmark) this.renderBenchmark(info.benchmark);
    const seconds = Object.entries(report?.seconds ?? info.seconds);
    this.stages.update(t('Time by stage'), [{ title: t('Stage') }, { title: t('Time'), numeric: true }], seconds.map(([stage, value]) => ({ id: stage, cells: [stage === 'total' ? t('Total') : stageText(stage), formatSeconds(value)] })));
    const preprocessing = data ? [t('Preprocessing found: {0}', data.preprocessing)] : [];
    const texts = [...preprocessing, ...new Set([...warnings, ...(report?.notes ?? [])])];
    if (this.notes.children.length !== texts.length) this.notes.replaceChildren(...texts.map((text) => el('li', {}, text)));
  }

  private renderBenchmark({ batches, threads, provider }: BenchmarkResult): void {
    const time = (latency: Latency | undefined) => (latency ? t('{0} ms', formatNumber(latency.median, 2)) : '');
    this.benchmark.update(t('Measured on this machine ({0} threads, {1})', threads, provider), [
      { title: t('Batch'), numeric: true }, { title: t('Compressed'), numeric: true }, { title: t('Original'), numeric: true }, { title: t('Faster'), numeric: true },
    ], batches.map(({ batch, model, against, ratio }) => ({
      id: batch, cells: [formatNumber(batch), time(model), time(against), ratio ? t('{0}x ({1} to {2})', formatNumber(1 / ratio.value, 2), formatNumber(1 / ratio.high, 2), formatNumber(1 / ratio.low, 2)) : ''],
    })));
  }
}

const card = (id: string, title: string, ...children: HTMLElement[]) => el('section', { id, class: 'card', 'aria-labelledby': `${id}-title` }, el('h2', { id: `${id}-title` }, title), ...children);
const details = (title: string, table: HTMLElement, open = false): HTMLDetailsElement => el('details', { open }, el('summary', {}, title), scrolling(title, table));
/** A table that scrolls in its own box, reachable by keyboard. */
const scrolling = (label: string, table: HTMLElement) => el('div', { class: 'scroll', tabindex: 0, role: 'group', 'aria-label': label }, table);
