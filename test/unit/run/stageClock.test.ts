import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { RunEvent } from '../../../src/engine/protocol.ts';
import { StageClock } from '../../../src/engine/run/stageClock.ts';

beforeEach(() => { vi.useFakeTimers({ toFake: ['performance'] }); });
afterEach(() => { vi.useRealTimers(); });
const pass = (seconds: number): void => { vi.advanceTimersByTime(1000 * seconds); };

describe('StageClock', () => {
  it('adds up the seconds of stages, the one at work included', () => {
    const clock = new StageClock(() => undefined);
    clock.start('data'); pass(2); clock.start('search'); pass(3); clock.start('data'); pass(1);
    expect(clock.seconds()).toEqual({ data: 3, search: 3, total: 6 });
    pass(1);
    expect(clock.seconds()).toEqual({ data: 4, search: 3, total: 7 });
  });

  it('tells how long the whole run still takes: what is left of a stage and what later ones are expected to take', () => {
    const said: RunEvent[] = [], clock = new StageClock((event) => { said.push(event); });
    clock.start('calibrate');
    expect(said.at(-1)).toEqual({ type: 'stage', stage: 'calibrate' });
    clock.expect({ rebuild: 40, refine: 100, report: 5 });
    clock.start('search');
    expect(said.at(-1)).toEqual({ type: 'stage', stage: 'search' }); // the search tells by itself
    const training: RunEvent = { type: 'training', epoch: 1, epochs: 4, loss: 1, secondsLeft: 60 };
    expect(clock.timed({ type: 'warning', message: 'w' })).toEqual({ type: 'warning', message: 'w' });
    clock.start('rebuild');
    expect(said.at(-1)).toMatchObject({ secondsLeft: 145 });
    pass(10);
    clock.progress(0.5); // 10 s more, by how fast it went
    expect(said.at(-1)).toMatchObject({ fraction: 0.5, secondsLeft: 115 });
    clock.start('refine');
    expect(said.at(-1)).toMatchObject({ secondsLeft: 105 });
    expect(clock.timed(training)).toEqual({ ...training, secondsLeft: 65 });
    clock.start('report');
    expect(said.at(-1)).toMatchObject({ secondsLeft: 5 });
  });
});
