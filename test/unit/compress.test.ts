import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { compress, exportCandidate, resume } from '../../src/engine/compress.ts';
import { CancelledError, InputError, UnreachableTargetError } from '../../src/engine/errors.ts';
import { pruneCommand } from '../../src/engine/pruning/prune.ts';
import { type CompressRequest, type Report, type RunEvent, parseCompressOptions, parseReport } from '../../src/engine/protocol.ts';

const folder = mkdtempSync(join(tmpdir(), 'compress-'));
afterAll(() => { rmSync(folder, { recursive: true, force: true }); });

const request = (name: string, more: Partial<CompressRequest> = {}): ReturnType<typeof parseCompressOptions> => parseCompressOptions({
  model: 'examples/resnet20.onnx', val: 'examples/cifar10/validation', calibration: 'examples/cifar10/calibration', target: { metric: 'macs', value: 0.5 },
  episodes: 6, seed: 7, refine: 1, out: join(folder, `${name}.onnx`), runDir: join(folder, name), ...more,
});
const never = new AbortController().signal;
const hash = (path: string): string => createHash('sha256').update(readFileSync(path)).digest('hex');
const journalOf = (name: string): string[] => readFileSync(join(folder, name, 'journal.ndjson'), 'utf8').trim().split('\n');
const silent = { emit: () => undefined, signal: never };

describe('compress', () => {
  const events: RunEvent[] = [];
  let report: Report;
  const original = hash('examples/resnet20.onnx');
  beforeAll(async () => { report = await compress(request('first'), { emit: (event) => { events.push(event); }, signal: never }); }, 400_000);

  it('writes a model of at most half the multiply-accumulates that is far better than chance', () => {
    expect(report.after.macs / report.before.macs).toBeLessThanOrEqual(0.5);
    expect(report.after.macs / report.before.macs).toBeGreaterThan(0.47);
    expect(report.after.sizeBytes).toBeLessThan(report.before.sizeBytes);
    expect(report.after.accuracy.value).toBeGreaterThan(0.7);
    expect(report.before.accuracy.value).toBeGreaterThan(0.9);
  });

  it('gives the user nothing that is worse than a baseline', () => {
    for (const { accuracy } of report.baselines) expect(report.steps[0]!.accuracy).toBeGreaterThanOrEqual(accuracy);
    expect(report.baselines.map(({ policy }) => policy)).toEqual(['uniform', 'shallow', 'deep']);
    expect(report.searchedBaselines, 'as they were told during the search').toEqual(events.flatMap((event) => (event.type === 'baseline' ? [event.baseline] : [])));
    expect(Object.keys(report.profile!).sort()).toEqual(['agent', 'anchor', 'elimination', 'gram', 'inference', 'journal', 'refit', 'session', 'targets']);
  });

  it('keeps every candidate within the budget', () => {
    expect(report.candidates).toHaveLength(6);
    for (const { macs } of report.candidates) expect(macs).toBeLessThanOrEqual(0.5);
  });

  it('leaves the original as it was, and no temporary files', () => {
    expect(hash('examples/resnet20.onnx')).toBe(original);
    expect(readdirSync(folder).filter((name) => name.endsWith('.tmp'))).toEqual([]);
    expect(report.outSha256).toBe(hash(report.out));
    expect(parseReport(JSON.parse(readFileSync(join(folder, 'first', 'report.json'), 'utf8')))).toEqual(report); // every field of it is in the schema
    expect(readdirSync(join(folder, 'first'))).toEqual(expect.arrayContaining(['journal.ndjson', 'options.json', 'plan.json', 'report.json']));
  });

  it('sends its events in order, the result last', () => {
    expect(events[0]!.type).toBe('run');
    expect(events.at(-1)!.type).toBe('result');
    expect(events.filter(({ type }) => type === 'episode')).toHaveLength(6);
    expect(events.flatMap((event) => (event.type === 'stage' && event.fraction === undefined ? [event.stage] : []))).toEqual(['load', 'data', 'calibrate', 'search', 'rebuild', 'refine', 'report']);
  });

  it.each<[string, string, string, (event: RunEvent) => boolean]>([
    ['in the search', 'second', 'agent', (event) => event.type === 'episode' && event.candidate.episode === 3],
    ['while choices are made', 'third', 'rebuild', (event) => event.type === 'stage' && event.stage === 'rebuild' && (event.fraction ?? 0) > 0.5],
  ])('gives the same file when it is stopped %s and resumed, and finds nothing twice', async (_, name, lastFound, stopsAt) => {
    const controller = new AbortController();
    const stopped = compress(request(name), { emit: (event) => { if (stopsAt(event)) controller.abort(); }, signal: controller.signal });
    await expect(stopped).rejects.toThrow(CancelledError);
    const found = journalOf(name);
    const resumed = await resume(join(folder, name), silent);
    expect(hash(join(folder, `${name}.onnx`))).toBe(hash(join(folder, 'first.onnx')));
    expect(resumed.candidates).toEqual(report.candidates);
    expect(journalOf(name)).toEqual(journalOf('first'));
    expect(found.at(-1)).toContain(`"policy":"${lastFound}"`);
    expect(journalOf(name).slice(0, found.length)).toEqual(found);
  }, 600_000);

  it('writes the model of any episode afterwards', async () => {
    const out = join(folder, 'episode.onnx');
    await exportCandidate(join(folder, 'first'), 2, out, silent);
    expect(readFileSync(out).length).toBeLessThan(report.before.sizeBytes);
    await expect(exportCandidate(join(folder, 'first'), 99, out, silent)).rejects.toThrow(InputError);
  }, 300_000);

  it('keeps the plan of each point of the trade-off that no other beats, which makes it a model without a search', async () => {
    const plans = readdirSync(join(folder, 'first')).filter((name) => name.startsWith('pareto-')), costs: number[] = [];
    expect(plans).toHaveLength(report.pareto.length);
    for (const plan of plans) {
      const { before, after } = await pruneCommand({ model: 'examples/resnet20.onnx', plan: join(folder, 'first', plan), out: join(folder, 'point.onnx') });
      costs.push(after.macs / before.macs);
    }
    expect(costs.sort((a, b) => a - b)).toEqual(report.pareto.map(({ macs }) => expect.closeTo(macs, 9) as number));
  });

  it('says how near one can get to a target that is out of reach', async () => {
    await expect(compress(request('unreachable', { target: { metric: 'macs', value: 0.001 } }), silent)).rejects.toThrow(UnreachableTargetError);
  });
});
