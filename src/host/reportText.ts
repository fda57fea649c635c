/** A report as Markdown. Pure: no VS Code. */
import { basename } from 'node:path';
import type { Measurements, Report } from '../engine/protocol.ts';
import { outcomeOf } from '../webview/client/state.ts';

const count = (value: number) => value.toLocaleString('en');
const fixed = (value: number, digits: number) => value.toFixed(digits);
const percent = (fraction: number, digits = 1) => `${(100 * fraction).toFixed(digits)}%`;
const stepNames = { reconstruct: 'Repaired by least squares', refine: 'Refined without labels', finetune: 'Fine-tuned' } as const;
const cell = (text: string) => text.replaceAll('|', '\\|');

export function reportMarkdown(report: Report): string {
  const { before, after, target, baselines, layers, notes, seconds, steps, versions } = report;
  const { macsRatio, speedRatio, speedChanged, sizeRatio, paramsRatio, pointsLost } = outcomeOf(report);
  const row = (name: string, value: (measured: Measurements) => string, change: string) => `| ${name} | ${value(before)} | ${value(after)} | ${change} |`;
  const faster = !speedChanged ? 'no clear difference in speed' : speedRatio >= 1 ? `${fixed(speedRatio, 2)}x faster` : `${fixed(1 / speedRatio, 2)}x slower`;
  return [
    `# ${basename(report.model.path)}`, '',
    `**${fixed(macsRatio, 1)}x fewer MACs, ${faster} on this machine, ${fixed(pointsLost, 1)} points of accuracy lost on ${count(after.accuracy.images)} images.**`, '',
    `Target ${target.metric}=${target.value}; ${count(report.episodes)} episodes, seed ${report.seed}; written to \`${report.out}\` by ${report.policy === 'agent' ? "the agent's policy" : `the policy "${report.policy}"`}.`, '',
    '| | Before | After | Change |', '| --- | ---: | ---: | ---: |',
    row('MACs', ({ macs }) => count(macs), `${fixed(macsRatio, 2)}x fewer`), row('Parameters', ({ params }) => count(params), `${fixed(paramsRatio, 2)}x fewer`),
    row('File', ({ sizeBytes }) => `${count(Math.round(sizeBytes / 1000))} kB`, `${fixed(sizeRatio, 2)}x smaller`),
    row('Latency, batch 1 (median; 10% to 90%)', ({ latencyMs: { median, p10, p90 } }) => `${fixed(median, 2)} ms (${fixed(p10, 2)} to ${fixed(p90, 2)})`, faster),
    row(`Accuracy (${after.accuracy.metric}, ${count(after.accuracy.images)} images)`, ({ accuracy }) => percent(accuracy.value, 2), `${pointsLost >= 0 ? '-' : '+'}${fixed(Math.abs(pointsLost), 2)} points`), '',
    ...(steps.length > 1 ? ['## Steps', '', '| Step | Epochs | Accuracy |', '| --- | ---: | ---: |', ...steps.map(({ step, epochs, accuracy }) => `| ${stepNames[step]} | ${epochs ?? ''} | ${percent(accuracy, 2)} |`), ''] : []),
    ...(baselines.length > 0 ? ['## Baselines', '', '| Policy | MACs | Accuracy |', '| --- | ---: | ---: |', ...baselines.map(({ policy, macs, accuracy }) => `| ${cell(policy)} | ${percent(macs)} | ${percent(accuracy, 2)} |`), ''] : []),
    '## Layers', '', '| Layer | Operator | Channels | MACs | Zero weights |', '| --- | --- | ---: | ---: | ---: |',
    ...layers.map((layer) => `| ${cell(layer.name)} | ${layer.opType} | ${count(layer.channelsBefore)} -> ${count(layer.channelsAfter)} | ${count(layer.macsBefore)} -> ${count(layer.macsAfter)} | ${percent(layer.weightSparsity)} |`), '',
    '## Time', '', '| Stage | Seconds |', '| --- | ---: |', ...Object.entries(seconds).map(([stage, value]) => `| ${stage} | ${fixed(value, 1)} |`), '',
    ...(notes.length > 0 ? ['## Notes', '', ...notes.map((note) => `- ${note}`), ''] : []),
    Object.entries(versions).map(([name, version]) => `${name} ${version}`).join(', '), '',
  ].join('\n');
}
