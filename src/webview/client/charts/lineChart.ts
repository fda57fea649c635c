import uPlot from 'uplot';
import { formatNumber } from '../l10n.ts';
import { type ChartColours, narrowPx, readColours } from './theme.ts';
import { mostPercent, verticalRange } from './verticalRange.ts';
import { type Zoom, zoomOf } from './zoom.ts';

/** One line of a chart: its values in the order of x; null where there is none. */
export interface Line { readonly label: string; readonly colour: keyof Omit<ChartColours, 'font'>; readonly style: 'points' | 'steps' | 'dashed'; readonly rightAxis?: boolean; readonly digits: number }
/** `percent` is the axis with percentages. */
export interface LineChartLook { readonly x: string; readonly left: string; readonly right: string; readonly percent: 'left' | 'right'; readonly lines: readonly Line[] }

const heightPx = 240;

/** Lines over a count (episodes, epochs) with two vertical axes. Follows its place in width and the theme in colours; stays where it was zoomed to. */
export class LineChart {
  private plot: uPlot | undefined;
  private data: uPlot.AlignedData;
  private zoom: Zoom | undefined;
  private readonly host: HTMLElement;
  private readonly look: LineChartLook;

  constructor(host: HTMLElement, look: LineChartLook) {
    this.host = host;
    this.look = look;
    this.data = [[], ...look.lines.map(() => [])];
    new ResizeObserver(() => this.fit()).observe(host);
  }

  update(x: readonly number[], values: readonly (readonly (number | null)[])[]): void {
    this.data = [[...x], ...values.map((line) => [...line])];
    if (!this.plot) { this.build(); return; }
    this.plot.setData(this.data, !this.zoom);
    if (this.zoom) this.plot.setScale('x', this.zoom); // the vertical axes follow what is new in sight
  }

  /** Builds the chart anew, in the colours of the theme. */
  rebuild(): void { if (this.plot) { this.plot.destroy(); this.plot = undefined; this.build(); } }

  private build(): void {
    const width = this.host.clientWidth;
    if (width === 0 || this.data[0].length === 0) return;
    const { x, left, right, percent, lines } = this.look, range = (side: 'left' | 'right') => ({ range: verticalRange(side === percent ? mostPercent : Infinity) });
    const colours = readColours(), named = width >= narrowPx;
    const axis = { stroke: colours.text, font: colours.font, labelFont: colours.font, grid: { stroke: colours.grid, width: 0.5 }, ticks: { stroke: colours.grid, width: 0.5 } };
    const name = (label: string) => (named ? { label } : {});
    const counts = (_plot: uPlot, values: number[]) => values.map((value) => (Number.isInteger(value) ? formatNumber(value) : ''));
    this.plot = new uPlot({
      width, height: heightPx,
      scales: { x: { time: false, ...this.zoom }, y: range('left'), right: range('right') },
      axes: [{ ...axis, ...name(x), values: counts }, { ...axis, ...name(left), size: named ? 56 : 40 }, { ...axis, ...name(right), scale: 'right', side: 1, size: named ? 56 : 48, grid: { show: false } }],
      series: [{ label: x, value: (_plot, value: number | null) => (value === null ? '-' : formatNumber(value, Number.isInteger(value) ? 0 : 1)) }, ...lines.map(({ label, colour, style, rightAxis, digits }): uPlot.Series => ({
        label, stroke: colours[colour], width: style === 'steps' ? 2 : 1, spanGaps: true, ...(rightAxis ? { scale: 'right' } : {}),
        points: style === 'points' ? { show: true, size: 5, fill: colours[colour] } : { show: false }, ...(style === 'dashed' ? { dash: [4, 3] } : {}), ...(style === 'steps' ? { paths: uPlot.paths.stepped!({ align: 1 }) } : {}),
        value: (_plot, value: number | null) => (value === null ? '-' : formatNumber(value, digits)),
      }))],
      cursor: { drag: { x: true, y: false } },
      hooks: { setScale: [({ scales, data: [values] }, key) => { if (key === 'x') this.zoom = zoomOf(scales['x']!, values); }] },
    }, this.data, this.host);
  }

  private fit(): void {
    const width = this.host.clientWidth;
    if (width === 0) return;
    const hadNames = (this.plot?.width ?? width) >= narrowPx;
    if (this.plot && hadNames === (width >= narrowPx)) this.plot.setSize({ width, height: heightPx });
    else { this.plot?.destroy(); this.plot = undefined; this.build(); }
  }
}
