/** A report as Markdown. Pure: no VS Code. */
import { basename } from 'node:path';
import { type Measurements, type Report, formatTarget } from '../engine/protocol.ts';
import { formatNumber as fixed, formatPercent as percent, t } from '../webview/client/l10n.ts';
import { isWon, outcomeOf } from '../webview/client/state.ts';
import { speedText } from '../webview/client/words.ts';

type Cell = string | number;
const cell = (value: Cell) => String(value).replaceAll('|', '\\|');
/** A table whose columns after the first are numbers. */
const table = (headings: readonly string[], rows: readonly (readonly Cell[])[]): string[] =>
  [headings, headings.map((_, index) => (index === 0 ? '---' : '---:')), ...rows].map((cells) => `| ${cells.map(cell).join(' | ')} |`);
const section = (title: string, lines: readonly string[]): string[] => (lines.length > 0 ? [`## ${title}`, '', ...lines, ''] : []);

export function reportMarkdown(report: Report): string {
  const { before, after, target, agent, baselines, layers, notes, seconds, steps, versions } = report;
  const { macsRatio, speedRatio, speedChanged, sizeRatio, paramsRatio, pointsLost, weights } = outcomeOf(report);
  const row = (name: string, value: (measured: Measurements) => string, change: string): Cell[] => [name, value(before), value(after), change];
  const kilobytes = (bytes: number) => t('{0} kB', fixed(Math.round(bytes / 1000))), smaller = (ratio: number) => t('{0}x smaller', fixed(ratio, 2));
  const fewer = (ratio: number) => t('{0}x fewer', fixed(ratio, 2));
  const faster = !speedChanged ? t('no clear difference in speed') : speedText(speedRatio, 2);
  const points = isWon(pointsLost) ? t('{0} points of accuracy won', fixed(-pointsLost, 1)) : t('{0} points of accuracy lost', fixed(Math.abs(pointsLost), 1));
  const policy = report.policy === 'agent' ? t("the agent's policy") : t('the policy "{0}"', report.policy);
  const policies = [...(agent ? [agent] : []), ...baselines].sort((a, b) => b.accuracy - a.accuracy);
  const stepName = { reconstruct: t('Repaired by least squares'), refine: t('Refined without labels'), finetune: t('Fine-tuned') } as const;
  return [
    `# ${basename(report.model.path)}`, '',
    `**${weights ? t('{0}x fewer weights that are not zero, {1}x smaller in a zip, {2} on {3} images.', fixed(weights.nonZeroRatio, 1), fixed(weights.zipRatio, 1), points, fixed(after.accuracy.images))
      : t('{0}x fewer MACs, {1} on this machine, {2} on {3} images.', fixed(macsRatio, 1), faster, points, fixed(after.accuracy.images))}**`, '',
    t('Target {0}; {1} episodes, seed {2}; written to `{3}` by {4}.', formatTarget(target), fixed(report.episodes), report.seed, report.out, policy), '',
    ...table(['', t('Before'), t('After'), t('Change')], [
      row(t('MACs'), ({ macs }) => fixed(macs), fewer(macsRatio)), row(t('Parameters'), ({ params }) => fixed(params), fewer(paramsRatio)),
      row(t('File'), ({ sizeBytes }) => kilobytes(sizeBytes), smaller(sizeRatio)),
      ...(weights ? [
        row(t('Weights that are not zero'), ({ sparse }) => fixed(sparse!.nonZero), fewer(weights.nonZeroRatio)),
        row(t('Stored as bitmap and values'), ({ sparse }) => kilobytes(sparse!.storedBytes), smaller(before.sizeBytes / after.sparse!.storedBytes)), row(t('File in a zip'), ({ sparse }) => kilobytes(sparse!.zipBytes), smaller(weights.zipRatio)),
      ] : []),
      row(t('Latency, batch 1 (median; 10% to 90%)'), ({ latencyMs: { median, p10, p90 } }) => t('{0} ms ({1} to {2})', fixed(median, 2), fixed(p10, 2), fixed(p90, 2)), faster),
      row(t('Accuracy ({0}, {1} images)', after.accuracy.metric, fixed(after.accuracy.images)), ({ accuracy }) => percent(accuracy.value, 2), t('{0} points', `${['+', '', '-'][1 + Math.sign(Math.round(100 * pointsLost))]}${fixed(Math.abs(pointsLost), 2)}`)),
    ]), '',
    ...section(t('Steps'), steps.length > 1 ? table([t('Step'), t('Epochs'), t('Accuracy')], steps.map(({ step, epochs, accuracy }) => [stepName[step], epochs ?? '', percent(accuracy, 2)])) : []),
    ...section(t('Agent and baselines, repaired alike'), baselines.length > 0 ? table([t('Policy'), weights ? t('MACs of weights that are not zero') : t('MACs'), t('Accuracy')], policies.map(({ policy: name, macs, accuracy }) => [name, percent(macs), percent(accuracy, 2)])) : []),
    ...section(t('Layers'), table([t('Layer'), t('Operator'), t('Channels'), t('MACs'), t('Zero weights')], layers.map((layer) => [
      layer.name, layer.opType, `${fixed(layer.channelsBefore)} -> ${fixed(layer.channelsAfter)}`, `${fixed(layer.macsBefore)} -> ${fixed(layer.macsAfter)}`, percent(layer.weightSparsity),
    ]))),
    ...section(t('Time'), table([t('Stage'), t('Seconds')], Object.entries(seconds).map(([stage, value]) => [stage, fixed(value, 1)]))),
    ...section(t('Notes'), notes.map((note) => `- ${note}`)),
    Object.entries(versions).map(([name, version]) => `${name} ${version}`).join(', '), '',
  ].join('\n');
}
