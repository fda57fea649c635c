import uPlot from 'uplot';
import { formatNumber, t } from '../l10n.ts';
import type { CostAxis, Point, PointKind } from '../state.ts';
import { type ChartColours, narrowPx, readColours } from './theme.ts';
import { mostPercent, verticalRange } from './verticalRange.ts';

const kinds: readonly PointKind[] = ['candidate', 'pareto', 'best', 'baseline', 'original', 'written'];
const sizes: Readonly<Record<PointKind, number>> = { candidate: 4, pareto: 7, best: 10, baseline: 8, original: 8, written: 10 };
const reachPx = 14;

export const kindLabel = (kind: PointKind): string => ({ candidate: t('Candidate'), pareto: t('Pareto front'), best: t('Best'), baseline: t('Baseline'), original: t('Original'), written: t('Written') })[kind];
const colourOf = (colours: ChartColours, kind: PointKind) => colours[kind];

/** Names of a cost: in a heading or a choice, along the axis, and in the legend. */
export const axisWords = (axis: CostAxis): { readonly short: string; readonly long: string; readonly legend: string } => ({
  macs: { short: t('MACs'), long: t('MACs (% of the original)'), legend: t('MACs (%)') },
  params: { short: t('Parameters'), long: t('Parameters (% of the original)'), legend: t('Parameters (%)') },
  latency: { short: t('Time'), long: t('Time at batch 1 (% of the original)'), legend: t('Time (%)') },
})[axis];

/** Cost against accuracy, one dot a network; the Pareto front is joined by a line. A click chooses the nearest network. */
export class ScatterChart {
  private plot: uPlot | undefined;
  private points: readonly Point[] = [];
  private chosen: string | undefined;
  private axis: CostAxis = 'macs';
  private readonly host: HTMLElement;
  private readonly choose: (point: Point) => void;

  constructor(host: HTMLElement, choose: (point: Point) => void) {
    this.host = host;
    this.choose = choose;
    new ResizeObserver(() => this.fit()).observe(host);
  }

  update(points: readonly Point[], chosen: string | undefined, axis: CostAxis): void {
    const other = axis !== this.axis;
    this.points = points; this.chosen = chosen; this.axis = axis;
    if (this.plot && !other) this.plot.setData(this.data()); else { this.plot?.destroy(); this.plot = undefined; this.build(); }
  }

  rebuild(): void { if (this.plot) { this.plot.destroy(); this.plot = undefined; this.build(); } }

  private data(): uPlot.AlignedData {
    const column = (kind: PointKind) => this.points.map((point) => (point.kind === kind || (kind === 'pareto' && point.onFront) ? 100 * point.accuracy : null));
    return [this.points.map(({ cost }) => 100 * cost), ...kinds.map(column)];
  }

  private build(): void {
    if (this.host.clientWidth === 0 || this.points.length === 0) return;
    const colours = readColours();
    const axis = { stroke: colours.text, font: colours.font, labelFont: colours.font, grid: { stroke: colours.grid, width: 0.5 }, ticks: { stroke: colours.grid, width: 0.5 } };
    const value = (_plot: uPlot, figure: number | null) => (figure === null ? '-' : formatNumber(figure, 2));
    this.plot = new uPlot({
      width: this.host.clientWidth, height: 260,
      scales: { x: { time: false, range: (_plot, min, max) => [Math.max(0, min - 4), max + 4] }, y: { range: verticalRange(mostPercent) } },
      axes: [
        { ...axis, label: axisWords(this.axis).long },
        { ...axis, ...(this.host.clientWidth >= narrowPx ? { label: t('Accuracy (%)'), size: 56 } : { size: 40 }) },
      ],
      series: [
        { label: axisWords(this.axis).legend, value },
        ...kinds.map((kind): uPlot.Series => ({
          label: kindLabel(kind), stroke: colourOf(colours, kind), width: kind === 'pareto' ? 1.5 : 0, spanGaps: true, value,
          points: { show: true, size: sizes[kind], fill: colourOf(colours, kind), stroke: colourOf(colours, kind) },
          ...(kind === 'pareto' ? {} : { paths: () => null }),
        })),
      ],
      hooks: { draw: [(plot) => this.drawChosen(plot, colours)], ready: [(plot) => plot.over.addEventListener('click', (event) => this.clicked(plot, event))] },
      cursor: { drag: { x: false, y: false } },
    }, this.data(), this.host);
  }

  private drawChosen(plot: uPlot, colours: ChartColours): void {
    const point = this.points.find(({ id }) => id === this.chosen);
    if (!point) return;
    const { ctx } = plot;
    ctx.save();
    ctx.strokeStyle = colours.focus; ctx.lineWidth = 2 * devicePixelRatio;
    ctx.beginPath();
    ctx.arc(plot.valToPos(100 * point.cost, 'x', true), plot.valToPos(100 * point.accuracy, 'y', true), 9 * devicePixelRatio, 0, 2 * Math.PI);
    ctx.stroke();
    ctx.restore();
  }

  private clicked(plot: uPlot, event: MouseEvent): void {
    const distance = (point: Point) => Math.hypot(plot.valToPos(100 * point.cost, 'x') - event.offsetX, plot.valToPos(100 * point.accuracy, 'y') - event.offsetY);
    const nearest = this.points.filter(({ choosable }) => choosable).map((point) => ({ point, px: distance(point) })).sort((a, b) => a.px - b.px)[0];
    if (nearest && nearest.px <= reachPx) this.choose(nearest.point);
  }

  private fit(): void {
    const width = this.host.clientWidth;
    if (width === 0) return;
    const hadNames = (this.plot?.width ?? width) >= narrowPx;
    if (this.plot && hadNames === (width >= narrowPx)) this.plot.setSize({ width, height: 260 });
    else { this.plot?.destroy(); this.plot = undefined; this.build(); }
  }
}
