import { resolve } from 'node:path';
import { InputError } from '../errors.ts';
import { given } from '../given.ts';
import { operations } from '../operations.ts';
import { compressOptionsSchema, metrics, parseTarget, type Metric, type Report, type RunEvent } from '../protocol.ts';
import { inspectionTable } from '../pruning/inspect.ts';
import { pruneTable } from './pruneTable.ts';
import { type Command, flag, number, type Option, type Terminal, text, type Values } from './command.ts';
import { columns, percent } from './format.ts';
import { benchmarkTable, reportTable } from './reportTable.ts';

/** The option of `compress` with the description of the schema. */
const described = (name: keyof typeof compressOptionsSchema.shape, more: Omit<Option, 'help'>, note = ''): Option => ({ help: `${compressOptionsSchema.shape[name].description ?? ''}${note}`, ...more });
const metricOption: Option = { value: metrics.join('|'), help: 'What accuracy means. Default: top1 where there are labels, agreement otherwise.' };
const preprocessOption = described('preprocess', { value: 'FILE|JSON' });

/** Paths are resolved against the current folder; JSON stands as it is. */
const path = (value: string | undefined): string | undefined => (value === undefined ? undefined : resolve(value));
const recipe = (value: string | undefined): string | undefined => (value === undefined || value.trim().startsWith('{') ? value : resolve(value));
function metricOf(values: Values): Metric | undefined {
  const metric = text(values, 'metric');
  if (metric !== undefined && !metrics.includes(metric as Metric)) throw new InputError(`Option --metric: expected ${metrics.join(', ')}, got "${metric}".`);
  return metric as Metric | undefined;
}
const printResult = (terminal: Terminal, values: Values, result: object, lines: () => string[]): void => {
  if (flag(values, 'json')) terminal.print(JSON.stringify({ type: 'result', ...result }));
  else for (const line of lines()) terminal.print(line);
};

/** Whether `prune` is to repair what it has pruned. */
const repairs = (values: Values): boolean => values['calibration'] !== undefined && !flag(values, 'no-reconstruct');

/** Options of `prune` that have no effect, for people. */
const unusedInPrune = (values: Values): string[] => [
  ...(values['plan'] !== undefined && values['round-to'] !== undefined ? ['Option round-to is of no effect with --plan: the plan says which channels stay.'] : []),
  ...(values['calibration'] !== undefined && flag(values, 'no-reconstruct') ? ['Option calibration is of no effect with --no-reconstruct: nothing is repaired.'] : []),
  ...(values['preprocess'] !== undefined && !repairs(values) ? [`Option preprocess is of no effect ${flag(values, 'no-reconstruct') ? 'with --no-reconstruct' : 'without --calibration'}: no images are read.`] : []),
];

/** Passes on at most one value a second. */
function throttled(report: (fraction: number) => void): (fraction: number) => void {
  let last = -Infinity;
  return (fraction) => {
    if (performance.now() - last < 1000) return;
    last = performance.now();
    report(fraction);
  };
}

/** Runs what ends in a report. With --json the events have said everything, the result last. */
async function toReport(terminal: Terminal, values: Values, run: (context: { emit(event: RunEvent): void; signal: AbortSignal }) => Promise<Report>): Promise<void> {
  const report = await run(terminal);
  if (!flag(values, 'json')) for (const line of ['', ...reportTable(report, terminal.columns)]) terminal.print(line);
}

export const commands: Readonly<Record<string, Command>> = {
  compress: {
    summary: 'Search for the best smaller network within a budget, and write it.',
    operands: ['MODEL'],
    options: {
      val: described('val', { value: 'DATA', required: true }, ' A folder of class folders, a flat folder, .npz, .npy, IDX, or a CSV of path,label.'),
      calibration: described('calibration', { value: 'DATA' }),
      target: { value: 'macs=0.5', help: 'Budget: macs=R, params=R, size=R or latency=R (fractions of the original that must not be exceeded), several with commas between them, or accuracy-drop=P (points that may be lost). Default macs=0.5, or params=0.2 with --method weights.' },
      method: described('method', { value: 'channels|weights' }, ' Default channels.'),
      episodes: described('episodes', { value: 'N', number: true }),
      seed: described('seed', { value: 'N', number: true }, ' Default 0.'),
      metric: metricOption,
      out: described('out', { value: 'FILE' }),
      'run-dir': described('runDir', { value: 'DIR' }),
      refine: described('refine', { value: 'EPOCHS', number: true }),
      finetune: described('finetune', { value: 'EPOCHS', number: true }, ' Default 0.'),
      train: described('train', { value: 'DATA' }),
      preprocess: preprocessOption,
      baseline: described('baseline', { value: 'random', multiple: true }),
      agent: described('agent', { value: 'warm|paper' }, ' Default warm.'),
      'round-to': described('roundTo', { value: 'N', number: true }, ' Default 0.'),
      'min-preserve': described('minPreserve', { value: 'R', number: true }, ' Default 0.1.'),
      threads: described('threads', { value: 'N', number: true }, ' Default 0.'),
    },
    run: ([model], values, terminal) => {
      const options = given({
        model: resolve(model!), val: path(text(values, 'val')), calibration: path(text(values, 'calibration')), train: path(text(values, 'train')), out: path(text(values, 'out')), runDir: path(text(values, 'run-dir')),
        target: parseTarget(text(values, 'target') ?? (values['method'] === 'weights' ? 'params=0.2' : 'macs=0.5')), method: text(values, 'method'), metric: metricOf(values), episodes: number(values, 'episodes'), seed: number(values, 'seed'),
        refine: number(values, 'refine'), finetune: number(values, 'finetune'), preprocess: recipe(text(values, 'preprocess')), baseline: values['baseline'], agent: text(values, 'agent'),
        roundTo: number(values, 'round-to'), minPreserve: number(values, 'min-preserve'), threads: number(values, 'threads'),
      });
      return toReport(terminal, values, (context) => operations.compress(options, context));
    },
  },
  resume: {
    summary: 'Go on with a run that was stopped.',
    operands: ['RUNDIR'],
    options: {},
    run: ([runDir], values, terminal) => toReport(terminal, values, (context) => operations.resume(resolve(runDir!), context)),
  },
  inspect: {
    summary: 'Show a model\'s layers, and which channels can be removed together.',
    operands: ['MODEL'],
    options: {},
    run: async ([model], values, terminal) => {
      const inspection = await operations.inspect(resolve(model!));
      printResult(terminal, values, inspection, () => inspectionTable(inspection, terminal.columns));
    },
  },
  prune: {
    summary: 'Remove channels by one ratio or by a plan, without a search.',
    operands: ['MODEL'],
    options: {
      preserve: { value: 'R', number: true, help: 'Kept / original channels of every group, in (0, 1].' },
      plan: { value: 'FILE', help: 'A plan.json of a run, instead of --preserve.' },
      calibration: { value: 'DATA', help: 'Images for the least-squares repair; without them there is none.' },
      'no-reconstruct': { help: 'Leave out the repair.' },
      'round-to': { value: 'N', number: true, help: 'Kept channel counts are multiples of this where a layer has more channels; 0, the default: of 16 in wide layers and of less in narrow ones. With 1 the result can be slower than the original.' },
      preprocess: preprocessOption,
      out: { value: 'FILE', required: true, help: 'The pruned model.' },
      'plan-out': { value: 'FILE', help: 'Write what was kept.' },
    },
    run: async ([model], values, terminal) => {
      const calibration = repairs(values) ? path(text(values, 'calibration')) : undefined;
      for (const message of unusedInPrune(values)) terminal.emit({ type: 'warning', message });
      const result = await operations.prune(given({
        model: resolve(model!), out: resolve(text(values, 'out')!), preserve: number(values, 'preserve'), plan: path(text(values, 'plan')), planOut: path(text(values, 'plan-out')),
        roundTo: number(values, 'round-to'), calibration, preprocess: recipe(text(values, 'preprocess')), signal: terminal.signal,
      }));
      if (result.repairedLayers === 0) terminal.emit({ type: 'warning', message: 'Nothing was repaired: no layer that comes after a removed channel can be fitted. The remaining weights are as they were.' });
      printResult(terminal, values, { ...result, repaired: (result.repairedLayers ?? 0) > 0 }, () => [...pruneTable(result), ...(calibration === undefined ? [`The remaining weights are as they were${flag(values, 'no-reconstruct') ? '' : ': --calibration DATA repairs them by least squares'}.`] : [])]);
    },
  },
  evaluate: {
    summary: 'Measure a model\'s accuracy on data.',
    operands: ['MODEL'],
    options: {
      data: { value: 'DATA', required: true, help: 'Images: see compress --val.' },
      metric: metricOption,
      against: { value: 'MODEL', help: 'The model to agree with, for --metric agreement.' },
      limit: { value: 'N', number: true, help: 'At most N images, every class in its proportion.' },
      preprocess: preprocessOption,
      threads: described('threads', { value: 'N', number: true }, ' Default 0.'),
    },
    run: async ([model], values, terminal) => {
      const result = await operations.evaluate(resolve(model!), resolve(text(values, 'data')!), given({
        metric: metricOf(values), against: path(text(values, 'against')), limit: number(values, 'limit'), preprocess: recipe(text(values, 'preprocess')), threads: number(values, 'threads'),
        signal: terminal.signal, progress: throttled((fraction) => { terminal.emit({ type: 'stage', stage: 'report', fraction }); }),
      }));
      printResult(terminal, values, result, () => [
        ...columns([[result.metric, percent(result.value, 2)], ['images', String(result.images)], ['preprocessing', result.preprocessing]]), ...result.notes.map((note) => `Note: ${note}`),
      ]);
    },
  },
  benchmark: {
    summary: 'Measure a model\'s latency on this machine, and its ratio to another\'s.',
    operands: ['MODEL'],
    options: {
      against: { value: 'OTHER', help: 'The model to compare with; the two are run in turn.' },
      batch: { value: 'N', number: true, help: 'Samples in one run. Default: 1 and 8, or what the model fixes.' },
      seconds: { value: 'S', number: true, help: 'Seconds of measuring for each batch size. Default 3.' },
      threads: described('threads', { value: 'N', number: true }, ' Default 0.'),
    },
    run: async ([model], values, terminal) => {
      const result = await operations.benchmark(resolve(model!), path(text(values, 'against')), given({ batch: number(values, 'batch'), seconds: number(values, 'seconds'), threads: number(values, 'threads'), signal: terminal.signal }));
      printResult(terminal, values, result, () => benchmarkTable(result, text(values, 'against') !== undefined));
    },
  },
};
