import { describe, expect, it } from 'vitest';
import { bar, columns, duration, fit } from '../../../src/engine/cli/format.ts';
import { ProgressLine } from '../../../src/engine/cli/progress.ts';
import { benchmarkTable, reportTable } from '../../../src/engine/cli/reportTable.ts';
import type { Measurements, Report, RunEvent } from '../../../src/engine/protocol.ts';

const episode = (number: number, best = false): RunEvent => ({ type: 'episode', candidate: { episode: number, macs: 0.5, params: 0.5, accuracy: 0.8, reward: 0.8, preserve: [1] }, best, bestAccuracy: 0.85, episodes: 10, seconds: 1, secondsLeft: 75, images: 100 });

describe('progress', () => {
  const shown = (isTTY: boolean, events: readonly [number, RunEvent][]): string => {
    let text = '', now = 0;
    const line = new ProgressLine({ isTTY, columns: 60, write: (piece) => { text += piece; } }, () => now);
    for (const [at, event] of events) { now = at; line.event(event); }
    line.clear();
    return text;
  };

  it('is one line, drawn again, on a terminal, and cut to its width', () => {
    const text = shown(true, [[0, episode(1)], [200, episode(2)]]);
    expect(text.split('\n')).toHaveLength(1);
    const drawn = text.split('\r\u001b[K').filter((piece) => piece !== '');
    expect(drawn).toEqual(['Searching ██░░░░░░░░░░░░░░░░░░ episode 1 of 10, best 85.00%', 'Searching ████░░░░░░░░░░░░░░░░ episode 2 of 10, best 85.00%']);
  });

  it('is drawn at most ten times a second on a terminal, at most once in ten seconds elsewhere', () => {
    const many = Array.from({ length: 1000 }, (_, i) => [i * 10, episode(1)] as [number, RunEvent]); // ten seconds
    expect(shown(true, many).split('Searching').length - 1).toBeLessThanOrEqual(101);
    expect(shown(false, many)).toBe('Searching ██░░░░░░░░░░░░░░░░░░ episode 1 of 10, best 85.00%, 1 min 15 s left\n');
  });

  it('says each stage and what was found in lines that stay', () => {
    expect(shown(false, [
      [0, { type: 'run', runDir: '/runs/1', out: 'o', resumed: true }], [1, { type: 'stage', stage: 'calibrate' }], [2, { type: 'stage', stage: 'calibrate', fraction: 0.5 }],
      [3, { type: 'data', images: 10, classes: 2, preprocessing: '0 to 1, RGB', metric: 'top1', accuracy: 0.9 }], [4, { type: 'baseline', baseline: { policy: 'uniform', macs: 0.499, accuracy: 0.8 }, preserve: [] }], [5, { type: 'warning', message: 'few images' }],
    ])).toBe('Resumed run /runs/1\nCalibrating\n10 images, 2 classes; preprocessing: 0 to 1, RGB; top1 of the original 90.00%\nBaseline uniform: 80.00% at 0.499 of the MACs\nNote: few images\n');
  });

  it.each([true, false])('does nothing to a terminal but to draw its line, whatever texts hold (terminal: %s)', (isTTY) => {
    const text = shown(isTTY, [[0, { type: 'stage', stage: 'load', message: '\u001b[2J\u001b]0;owned\u0007\u009b31m' }], [1, { type: 'model', path: 'a\nb\u001b[31m.onnx', macs: 1, params: 1, sizeBytes: 1, layers: [], groups: [], frozen: [] }]]);
    expect(text.replaceAll('\r\u001b[K', '').replaceAll('\n', '')).not.toMatch(/\p{Cc}/u);
    expect(text).toContain('a b [31m.onnx: 0 layers');
  });

  it('calls training by the step it belongs to', () => {
    expect(shown(false, [[0, { type: 'stage', stage: 'refine' }], [20_000, { type: 'training', epoch: 3.6, epochs: 12, loss: 1.8742, secondsLeft: 23 }]])).toBe('Refining\nRefining: epoch 3.6 of 12, loss 1.8742, 23 s left\n');
  });
});

describe('formats', () => {
  it.each([[0, '░░░░'], [0.5, '██░░'], [1, '████'], [0.28125, '█▏░░'], [-1, '░░░░'], [7, '████']])('bar of %d', (fraction, expected) => { expect(bar(fraction, 4)).toBe(expected); });
  it.each([[0, '0 s'], [59.4, '59 s'], [60, '1 min 0 s'], [3599, '59 min 59 s'], [7300, '2 h 1 min'], [NaN, '?']])('%d seconds', (seconds, expected) => { expect(duration(seconds)).toBe(expected); });
  it('a long name keeps its end', () => { expect([fit('abc', 5), fit('/layers/0/conv', 6)]).toEqual(['abc  ', '…/conv']); });
  it('columns align names left and numbers right', () => { expect(columns([['a', '1'], ['long', '100']])).toEqual(['a       1', 'long  100']); });
});

describe('the closing table', () => {
  const measurements = (macs: number, accuracy: number): Measurements => ({ macs, params: macs / 100, sizeBytes: macs / 20, latencyMs: { median: macs / 1e7, p10: 0, p90: 0 }, accuracy: { metric: 'top1', value: accuracy, images: 5000, dataset: 'val' } });
  const report: Report = {
    format: 'auto-compress/report@1', model: { path: 'm', sha256: '' }, out: '/tmp/small.onnx', target: { metric: 'macs', value: 0.5 }, policy: 'agent', before: measurements(40e6, 0.9274), after: measurements(19.8e6, 0.8512),
    layers: [{ name: '/stem/Conv', opType: 'Conv', preserveRatio: 0.75, weightSparsity: 0, macsBefore: 1, macsAfter: 1, channelsBefore: 16, channelsAfter: 12 }],
    pareto: [], candidates: [], agent: { policy: 'agent', macs: 0.495, accuracy: 0.838 }, baselines: [{ policy: 'deep', macs: 0.499, accuracy: 0.765 }, { policy: 'uniform', macs: 0.496, accuracy: 0.842 }], episodes: 40, steps: [{ step: 'reconstruct', accuracy: 0.84 }, { step: 'refine', accuracy: 0.8512, epochs: 3 }], seconds: { total: 93.4 }, seed: 0, versions: {}, notes: ['No calibration images were given.'],
  };
  it('shows before, after, baselines, layers as bars, and the path', () => {
    expect(reportTable(report, 80)).toEqual([
      '                               before     after  after / before',
      'MACs (FLOPs in the paper)     40.00 M   19.80 M          0.495x',
      'parameters                   400.00 k  198.00 k          0.495x',
      'file size                     2.00 MB  990.0 kB          0.495x',
      'latency, batch 1              4.00 ms   1.98 ms          0.495x',
      'top-1 accuracy, 5000 images    92.74%    85.12%    -7.62 points',
      '',
      'policies, repaired alike    MACs  top-1 accuracy',
      'uniform                   0.496x          84.20%',
      'agent                     0.495x          83.80%',
      'deep                      0.499x          76.50%',
      '',
      'top-1 accuracy of this model (agent): after its repair 84.00%, after refinement without labels 85.12% (3 epochs)',
      '',
      'Channels kept',
      '/stem/Conv  ██████████████████████▌░░░░░░░  75%  12 of 16',
      '',
      'No calibration images were given.',
      '',
      '40 episodes in 93 s. Written to /tmp/small.onnx',
    ]);
  });
  it('has in each row the ratio of the two numbers that it shows', () => {
    const sparse = (nonZero: number, storedBytes: number, zipBytes: number): Measurements['sparse'] & object => ({ nonZero, storedBytes, zipBytes });
    const lines = reportTable({ ...report, before: { ...report.before, sparse: sparse(40_000, 800_000, 900_000) }, after: { ...report.after, sparse: sparse(10_000, 200_000, 450_000) } }, 80);
    expect(lines.find((line) => line.startsWith('stored as bitmap and values'))).toMatch(/ 800\.0 kB +200\.0 kB +0\.250x$/);
  });
  it('of a benchmark shows both models and the ratio with its interval', () => {
    const latency = { median: 2, p10: 1.5, p90: 12 };
    expect(benchmarkTable({ threads: 1, provider: 'CPU', batches: [{ batch: 1, model: latency, against: { ...latency, median: 4 }, ratio: { value: 0.5, low: 0.48, high: 0.52 } }] }, true)).toEqual([
      '1 thread, CPU; median (10% to 90%)',
      'batch                         model                         other  model / other, 95% interval',
      '1      2.00 ms (1.50 ms to 12.0 ms)  4.00 ms (1.50 ms to 12.0 ms)       0.500 (0.480 to 0.520)',
    ]);
  });
});
