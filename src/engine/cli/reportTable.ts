import type { BenchmarkResult, Report } from '../protocol.ts';
import { costRows, ratioOf } from './costRows.ts';
import { bar, bytes, columns, fit, milliseconds, percent } from './format.ts';

const metricNames = { top1: 'top-1 accuracy', top5: 'top-5 accuracy', agreement: 'agreement' } as const;

const stepNames = { reconstruct: 'after its repair', refine: 'after refinement without labels', finetune: 'after fine-tuning' } as const;

/** What a run ends with on a terminal: before and after, the baselines, each layer's preserve ratio, and where the model is. */
export function reportTable({ before, after, agent, baselines, layers, out, policy, notes, seconds, episodes, steps }: Report, width: number): string[] {
  const times = (value: number): string => `${value.toFixed(3)}x`;
  const metric = metricNames[before.accuracy.metric];
  const points = (after.accuracy.value - before.accuracy.value) * 100;
  const lines = [
    ...columns([
      ['', 'before', 'after', 'after / before'],
      ...costRows(before, after, times, 'MACs (FLOPs in the paper)'),
      ...(before.sparse && after.sparse ? [['file in a zip', bytes(before.sparse.zipBytes), bytes(after.sparse.zipBytes), ratioOf(after.sparse.zipBytes, before.sparse.zipBytes, times)]] : []),
      ['latency, batch 1', milliseconds(before.latencyMs.median), milliseconds(after.latencyMs.median), ratioOf(after.latencyMs.median, before.latencyMs.median, times)],
      [`${metric}, ${after.accuracy.images} images`, percent(before.accuracy.value, 2), percent(after.accuracy.value, 2), `${points >= 0 ? '+' : ''}${points.toFixed(2)} points`],
    ]),
  ];
  if (baselines.length > 0) {
    lines.push('', ...columns([
      ['policies, repaired alike', after.sparse ? 'MACs of weights that are not zero' : 'MACs', metric],
      ...[...(agent ? [agent] : []), ...baselines].sort((a, b) => b.accuracy - a.accuracy).map(({ policy, macs, accuracy }) => [policy, `${macs.toFixed(3)}x`, percent(accuracy, 2)]),
    ]));
  }
  lines.push('', `${metric} of this model (${policy}): ${steps.map(({ step, accuracy, epochs }) => `${stepNames[step]} ${percent(accuracy, 2)}${epochs === undefined ? '' : ` (${epochs} epochs)`}`).join(', ')}`);
  const nameWidth = Math.min(40, Math.max(12, width - 50), Math.max(...layers.map(({ name }) => name.length), 0)), barWidth = Math.max(10, Math.min(30, width - nameWidth - 24));
  if (after.sparse) lines.push('', 'Weights kept', ...layers.map(({ name, weightSparsity }) => `${fit(name, nameWidth)}  ${bar(1 - weightSparsity, barWidth)} ${percent(1 - weightSparsity, 1).padStart(6)}`));
  else lines.push('', 'Channels kept', ...layers.map(({ name, preserveRatio, channelsBefore, channelsAfter }) => `${fit(name, nameWidth)}  ${bar(preserveRatio, barWidth)} ${percent(preserveRatio, 0).padStart(4)}  ${channelsAfter} of ${channelsBefore}`));
  if (notes.length > 0) lines.push('', ...notes);
  const total = seconds['total'];
  lines.push('', `${episodes} episodes${total === undefined ? '' : ` in ${total.toFixed(0)} s`}. Written to ${out}`);
  return lines;
}

export function benchmarkTable({ batches, threads }: BenchmarkResult, against: boolean): string[] {
  return [`${threads} thread${threads === 1 ? '' : 's'}, CPU; median (10% to 90%)`, ...columns([
    ['batch', 'model', ...(against ? ['other', 'model / other, 95% interval'] : [])],
    ...batches.map(({ batch, model, against: other, ratio }) => [String(batch), ...[model, other].filter((latency) => latency !== undefined).map(({ median, p10, p90 }) => `${milliseconds(median)} (${milliseconds(p10)} to ${milliseconds(p90)})`), ...(ratio ? [`${ratio.value.toFixed(3)} (${ratio.low.toFixed(3)} to ${ratio.high.toFixed(3)})`] : [])]),
  ])];
}
