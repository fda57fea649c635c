/** Colours of the charts, read from the theme each time it changes. */
export interface ChartColours {
  readonly text: string; readonly grid: string; readonly loss: string; readonly accuracy: string; readonly reward: string; readonly best: string;
  readonly candidate: string; readonly pareto: string; readonly baseline: string; readonly original: string; readonly written: string; readonly focus: string; readonly font: string;
}

/** Below this width a chart has no room for the names of its axes: the legend and the table have them. */
export const narrowPx = 360;

export function readColours(): ChartColours {
  const style = getComputedStyle(document.body);
  const read = (...names: string[]) => names.map((name) => style.getPropertyValue(name).trim()).find((value) => value !== '') ?? style.color;
  return {
    text: read('--vscode-foreground'), grid: read('--vscode-charts-lines', '--vscode-widget-border', '--vscode-contrastBorder'),
    accuracy: read('--vscode-charts-blue'), loss: read('--vscode-charts-yellow', '--vscode-charts-orange'), reward: read('--vscode-charts-purple'), best: read('--vscode-charts-green'),
    candidate: read('--vscode-descriptionForeground'), pareto: read('--vscode-charts-blue'), baseline: read('--vscode-charts-red'), original: read('--vscode-foreground'), written: read('--vscode-charts-yellow', '--vscode-charts-orange'),
    focus: read('--vscode-focusBorder', '--vscode-contrastActiveBorder'), font: `12px ${style.fontFamily}`,
  };
}

/** Calls `changed` when the user picks another theme. */
export function onThemeChange(changed: () => void): void {
  new MutationObserver(changed).observe(document.body, { attributes: true, attributeFilter: ['class', 'data-vscode-theme-id', 'data-vscode-theme-kind'] });
}
