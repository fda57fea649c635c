import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { LayerReport, RunEvent } from '../../../src/engine/protocol.ts';
import { viewOfReport } from '../../../src/host/runStore.ts';
import { applyEvents, bestAccuracies, emptyRunView, layerRows, outcomeOf, paretoFront, shownAxes, shownPoint, tradeOffPoints } from '../../../src/webview/client/state.ts';
import { candidate, sampleReport, sparseReport } from '../../support/sampleReport.ts';

const model: RunEvent = {
  type: 'model', path: '/m.onnx', macs: 100, params: 10, sizeBytes: 1000, frozen: [], groups: [{ id: 'a', name: 'a', channels: 8 }, { id: 'b', name: 'b', channels: 4 }],
  layers: [
    { name: 'conv', opType: 'Conv', macs: 75, params: 5, inChannels: 3, outChannels: 8, group: 0 },
    { name: 'fc', opType: 'Gemm', macs: 25, params: 5, inChannels: 8, outChannels: 10, group: -1 },
  ],
};
const data: RunEvent = { type: 'data', images: 5000, classes: 10, preprocessing: 'RGB / 255', metric: 'top1', accuracy: 0.92 };
const episode = (number: number, macs: number, accuracy: number, best: boolean): RunEvent => ({ type: 'episode', candidate: candidate(number, macs, accuracy), best, bestAccuracy: accuracy, episodes: 10, seconds: 1, secondsLeft: 5, images: 500 });
const viewOf = (...events: RunEvent[]) => applyEvents(emptyRunView, events);

describe('applyEvents', () => {
  it('keeps candidates in the order of their episodes, once each, when a resumed run repeats itself', () => {
    const view = viewOf(episode(1, 0.5, 0.8, true), episode(2, 0.5, 0.85, true), episode(3, 0.5, 0.7, false), { type: 'run', runDir: '/r', out: '/o', resumed: true }, episode(2, 0.5, 0.85, true), episode(3, 0.5, 0.7, false), episode(4, 0.5, 0.9, true));
    expect(view.candidates.map((found) => found.episode)).toEqual([1, 2, 3, 4]);
    expect(view.bestEpisode).toBe(4);
  });

  it('begins anew with a run that is not resumed, in one reading or event by event', () => {
    const run = (resumed: boolean): RunEvent => ({ type: 'run', runDir: '/r', out: '/o', resumed });
    const events = [run(false), episode(1, 0.5, 0.8, true), episode(2, 0.5, 0.8, false), run(false), episode(1, 0.5, 0.7, true), run(true), episode(2, 0.4, 0.6, false)];
    const view = viewOf(...events);
    expect(view.candidates.map(({ episode: number, accuracy }) => [number, accuracy])).toEqual([[1, 0.7], [2, 0.6]]);
    expect(events.reduce((before, event) => applyEvents(before, [event]), emptyRunView)).toEqual(view);
  });

  it('forgets the stage when the run goes on', () => {
    const view = viewOf({ type: 'stage', stage: 'search', fraction: 0.4, message: 'x' }, { type: 'error', message: 'killed', exitStatus: 1 });
    expect(applyEvents(view, [{ type: 'run', runDir: '/r', out: '/o', resumed: true }])).toEqual({ ...emptyRunView, runDir: '/r', out: '/o' });
  });

  it('replaces a baseline of the same name and tells each warning once', () => {
    const baseline = (accuracy: number): RunEvent => ({ type: 'baseline', baseline: { policy: 'uniform', macs: 0.5, accuracy }, preserve: [0.7, 0.7] });
    const view = viewOf(baseline(0.8), baseline(0.82), { type: 'warning', message: 'w' }, { type: 'warning', message: 'w' });
    expect(view.baselines).toMatchObject([{ policy: 'uniform', accuracy: 0.82 }]);
    expect(view.warnings).toEqual(['w']);
  });

  it('keeps one point an epoch of training, also when a resumed run steps back', () => {
    const training = (epoch: number, loss: number, accuracy?: number): RunEvent => ({ type: 'training', epoch, epochs: 3, loss, secondsLeft: 9, ...(accuracy === undefined ? {} : { accuracy }) });
    const view = viewOf({ type: 'stage', stage: 'refine' }, training(0.5, 3), training(0.9, 2.5), training(1, 2, 0.88), training(1.3, 1.9), training(2, 1.5, 0.9), { type: 'stage', stage: 'finetune' }, training(0.4, 1), training(1, 0.5, 0.91), training(1.2, 0.4));
    expect(view.training.map(({ stage, epoch, loss, accuracy }) => [stage, epoch, loss, accuracy])).toEqual([['refine', 1, 2, 0.88], ['refine', 2, 1.5, 0.9], ['finetune', 1, 0.5, 0.91], ['finetune', 1.2, 0.4, undefined]]);
    expect(applyEvents(view, [training(0.2, 0.9)]).training.map(({ stage, epoch }) => [stage, epoch]).slice(-2)).toEqual([['refine', 2], ['finetune', 0.2]]);
    expect(view.secondsLeft).toBe(9);
  });

  it('reads a long history in the time that its length takes', () => {
    const events = Array.from({ length: 100_000 }, (_, index) => episode(index + 1, 0.5, 0.8, index === 77));
    const start = performance.now();
    expect(viewOf(data, ...events)).toMatchObject({ bestEpisode: 78, candidates: { length: 100_000 } });
    expect(performance.now() - start).toBeLessThan(3000); // minutes where each episode copies all before it
  });

  it('says how far a stage is by what it told last, also while the random search follows the agent', () => {
    const fractionAfter = (...events: RunEvent[]) => viewOf({ type: 'stage', stage: 'search' }, ...events).stageFraction;
    const random = (fraction: number): RunEvent => ({ type: 'stage', stage: 'search', fraction, message: 'random search' });
    expect([fractionAfter(), fractionAfter(episode(4, 0.5, 0.8, true)), fractionAfter(episode(10, 0.5, 0.8, true), random(0.2)), fractionAfter({ type: 'stage', stage: 'rebuild' })]).toEqual([undefined, 0.4, 0.2, undefined]);
    expect(fractionAfter(episode(10, 0.5, 0.8, true), { type: 'stage', stage: 'refine' }, { type: 'training', epoch: 1, epochs: 4, loss: 1, secondsLeft: 1 })).toBe(0.25);
  });

  it('ignores events that this version does not know', () => {
    const view = viewOf(data);
    expect(applyEvents(view, [{ type: 'fromTheFuture' } as unknown as RunEvent])).toBe(view);
  });
});

describe('bestAccuracies', () => {
  it('is of the candidate of highest reward, not of highest accuracy', () => {
    const rewarded = ([[0.9, 0.1], [0.95, 0.05], [0.8, 0.3], [0.85, 0.3]] as const).map(([accuracy, reward], index) => ({ ...candidate(index + 1, 0.5, accuracy), reward }));
    expect(bestAccuracies(rewarded)).toEqual([0.9, 0.9, 0.8, 0.8]);
    expect(bestAccuracies([])).toEqual([]);
  });
});

describe('paretoFront', () => {
  it('is exactly the candidates that no other beats in both cost and accuracy', () => {
    const point = fc.record({ cost: fc.integer({ min: 1, max: 20 }), accuracy: fc.integer({ min: 0, max: 20 }) });
    fc.assert(fc.property(fc.array(point, { maxLength: 30 }), (points) => {
      const networks = points.map(({ cost, accuracy }) => ({ cost: cost / 20, accuracy: accuracy / 20 }));
      const beaten = (a: typeof networks[number]) => networks.some((b) => (b.cost <= a.cost && b.accuracy > a.accuracy) || (b.cost < a.cost && b.accuracy >= a.accuracy));
      const key = (a: typeof networks[number]) => `${a.cost} ${a.accuracy}`;
      const expected = new Set(networks.filter((a) => !beaten(a)).map(key));
      expect(new Set(paretoFront(networks).map(key))).toEqual(expected);
    }));
  });
});

describe('tradeOffPoints', () => {
  it('holds original, baselines and candidates by rising cost, each with its kind', () => {
    const view = viewOf(model, data, { type: 'baseline', baseline: { policy: 'uniform', macs: 0.55, accuracy: 0.8 }, preserve: [0.7, 0.7] }, episode(1, 0.5, 0.8, true), episode(2, 0.45, 0.9, true), episode(3, 0.48, 0.7, false), episode(4, 0.3, 0.6, false));
    expect(tradeOffPoints(view, 'macs').map(({ id, kind }) => `${id} ${kind}`)).toEqual(['episode:4 pareto', 'episode:2 best', 'episode:3 candidate', 'episode:1 candidate', 'baseline:uniform baseline', 'original original']);
    expect(tradeOffPoints(view, 'params').map(({ id }) => id)).not.toContain('baseline:uniform'); // its parameters are not known
  });

  it('has the best on the front only where no other beats it on that axis', () => {
    const view = viewOf(episode(1, 0.5, 0.95, false), episode(2, 0.9, 0.9, true), episode(3, 0.95, 0.97, false));
    expect(tradeOffPoints(view, 'params').map(({ id, kind, onFront }) => [id, kind, onFront])).toEqual([['episode:1', 'pareto', true], ['episode:2', 'best', false], ['episode:3', 'pareto', true]]);
  });

  it('offers time as an axis only where times are known', () => {
    const searching = viewOf(model, data, episode(1, 0.6, 0.8, true), episode(2, 0.5, 0.921, true));
    expect(shownAxes(searching)).toEqual(['macs', 'params']);
    const done = applyEvents(searching, [{ type: 'result', out: '/o', plan: '/p', report: '/r', summary: sampleReport }]);
    expect(shownAxes(done)).toEqual(['macs', 'params', 'latency']);
    expect(tradeOffPoints(done, 'latency').map(({ id, cost }) => [id, cost])).toEqual([['written', 0.5], ['original', 1]]);
    const timed = { ...searching, candidates: searching.candidates.map((found) => ({ ...found, latency: found.episode / 4 })) };
    expect(tradeOffPoints(timed, 'latency').map(({ id, cost }) => [id, cost])).toEqual([['episode:1', 0.25], ['episode:2', 0.5], ['original', 1]]);
  });

  it('marks the episode that was written as the best, which need not be the one that scored best', () => {
    const done = applyEvents(viewOf(model, data, episode(1, 0.5, 0.9, true), episode(2, 0.4, 0.95, true)), [{ type: 'result', out: '/o', plan: '/p', report: '/r', summary: { ...sampleReport, writtenEpisode: 1 } }]);
    expect(tradeOffPoints(done, 'macs').filter(({ kind }) => kind === 'best').map(({ id }) => id)).toEqual(['episode:1']);
  });

  it('holds the written model with its own figures, and takes no candidate and no baseline for it', () => {
    const searched = viewOf(model, data, { type: 'baseline', baseline: { policy: 'deep', macs: 0.7, accuracy: 0.93 }, preserve: [0.7, 0.7] }, episode(1, 0.6, 0.9, true));
    for (const policy of ['agent', 'deep']) {
      const done = applyEvents(searched, [{ type: 'result', out: '/o', plan: '/p', report: '/r', summary: { ...sampleReport, policy, candidates: [] } }]); // of no episode: made anew after the search
      expect(tradeOffPoints(done, 'latency').map(({ id, cost }) => [id, cost])).toEqual([['written', 0.5], ['original', 1]]);
      expect(tradeOffPoints(done, 'macs').map(({ id, kind, cost, accuracy }) => [id, kind, cost, accuracy])).toEqual([['written', 'written', 0.5, 0.921], ['episode:1', 'best', 0.6, 0.9], ['baseline:deep', 'baseline', 0.7, 0.93], ['original', 'original', 1, 0.927]]);
      expect(shownPoint(done, undefined)).toMatchObject({ id: 'written', label: 'resnet20.compressed.onnx', choosable: true });
      expect(layerRows(done, shownPoint(done, 'episode:1'), 'channels')[0]).toMatchObject({ name: 'conv', channelsAfter: 4 });
    }
  });

  it('counts the weights that are not zero where single ones were pruned', () => {
    const [conv, fc] = sparseReport.layers as [LayerReport, LayerReport];
    const done = viewOf({ type: 'result', out: '/o', plan: '/p', report: '/r', summary: { ...sparseReport, layers: [{ ...conv, macsAfter: conv.macsBefore, weightSparsity: 0.8 }, { ...fc, macsAfter: fc.macsBefore, weightSparsity: 0.4 }] } });
    const written = (axis: 'macs' | 'params') => tradeOffPoints(done, axis).find(({ kind }) => kind === 'written')!.cost;
    expect(written('macs')).toBeCloseTo(0.3, 9);
    expect(written('params')).toBeCloseTo(0.2, 9);
  });

  it('has no layers for points of a run that is known by its report alone', () => {
    const view = viewOfReport({ ...sampleReport, writtenEpisode: 1 }, '/run');
    expect(tradeOffPoints(view, 'macs').map(({ id, kind, choosable }) => [id, kind, choosable])).toEqual([['episode:2', 'pareto', false], ['episode:1', 'best', false], ['baseline:uniform', 'baseline', false], ['written', 'written', false], ['original', 'original', false]]);
    expect(tradeOffPoints(view, 'macs').find(({ kind }) => kind === 'baseline'), 'as it was judged beside the candidates').toMatchObject({ accuracy: 0.81 });
    expect(shownPoint(view, 'episode:2')?.id).toBe('written'); // the layers there are belong to it
    const baselineWon = viewOfReport({ ...sampleReport, policy: 'uniform' }, '/run');
    expect(shownPoint(baselineWon, 'episode:2')?.id).toBe('written');
  });

  it('shows the chosen point while it exists, otherwise the written one or the best so far', () => {
    const view = viewOf(model, episode(1, 0.5, 0.8, true), episode(2, 0.45, 0.7, false));
    expect(shownPoint(view, 'episode:2')?.episode).toBe(2);
    expect(shownPoint(view, 'episode:9')?.episode).toBe(1);
    const baseline: RunEvent = { type: 'baseline', baseline: { policy: 'deep', macs: 0.5, accuracy: 0.93 }, preserve: [0.7, 0.7] };
    expect(shownPoint(applyEvents(view, [baseline, { type: 'result', out: '/o', plan: '/p', report: '/r', summary: { ...sampleReport, policy: 'deep' } }]), undefined)?.id).toBe('written');
  });
});

describe('layerRows', () => {
  it('scales the channels of prunable layers by the ratio of their group', () => {
    const view = viewOf(model, episode(1, 0.5, 0.8, true));
    expect(layerRows(view, shownPoint(view, undefined), 'channels')).toMatchObject([{ channelsBefore: 8, channelsAfter: 4, macsShare: 0.75, frozen: false }, { channelsBefore: 10, channelsAfter: 10, macsShare: 0.25, frozen: true }]);
  });

  it('shows a branch that went as a whole as gone, and weights that went as zero', () => {
    const view = viewOf(model, episode(1, 0.5, 0.8, true)), best = shownPoint(view, undefined)!;
    expect(layerRows(view, { ...best, preserve: [0] }, 'channels')[0]).toMatchObject({ channelsBefore: 8, channelsAfter: 0 });
    expect(layerRows(view, { ...best, preserve: [0.25] }, 'weights')[0]).toMatchObject({ channelsBefore: 8, channelsAfter: 8, weightSparsity: 0.75 });
  });

  it('takes the figures of the written model from its report', () => {
    const view = viewOf(model, episode(2, 0.49, 0.921, true), { type: 'result', out: '/o', plan: '/p', report: '/r', summary: sampleReport });
    expect(layerRows(view, shownPoint(view, undefined), 'channels')[0]).toMatchObject({ channelsBefore: 64, channelsAfter: 36, macsShare: 0.75 });
    expect(layerRows(view, shownPoint(view, 'episode:2'), 'channels')[0]).toMatchObject({ channelsBefore: 8, channelsAfter: 4 });
  });
});

describe('outcomeOf', () => {
  it('gives ratios before / after and lost points', () => {
    const outcome = outcomeOf(sampleReport);
    expect(outcome.macsRatio).toBe(2);
    expect(outcome.speedRatio).toBe(2);
    expect(outcome.pointsLost).toBeCloseTo(0.6, 9);
  });
});
