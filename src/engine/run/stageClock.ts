import { type RunEvent, type Stage, stages } from '../protocol.ts';

/** Announces the stages of a run, adds up the seconds that each takes, and says when the whole run will be done. */
export class StageClock {
  private readonly emit: (event: RunEvent) => void;
  private readonly totals = new Map<string, number>();
  private current: Stage | undefined;
  private since = performance.now();
  private expected: Readonly<Partial<Record<Stage, number>>> = {};

  constructor(emit: (event: RunEvent) => void) { this.emit = (event) => { emit(this.timed(event)); }; }

  /** Seconds that later stages are expected to take: from now on every event tells how long the run still needs. */
  expect(seconds: Readonly<Partial<Record<Stage, number>>>): void { this.expected = seconds; }

  /** The event with the seconds to the run's end, where the seconds to its stage's end are known or can be guessed. */
  timed(event: RunEvent): RunEvent {
    if (event.type === 'episode' || event.type === 'training') return { ...event, secondsLeft: event.secondsLeft + this.after(this.current) };
    if (event.type !== 'stage' || this.expected[event.stage] === undefined) return event;
    const spent = (performance.now() - this.since) / 1000, { fraction = 0 } = event;
    return { ...event, secondsLeft: (fraction > 0 ? spent * (1 / fraction - 1) : this.expected[event.stage]!) + this.after(event.stage) };
  }

  private after(stage: Stage | undefined): number {
    return stages.slice(stage === undefined ? stages.length : stages.indexOf(stage) + 1).reduce((sum, later) => sum + (this.expected[later] ?? 0), 0);
  }

  start(stage: Stage, message?: string): void {
    this.stop();
    this.current = stage;
    this.since = performance.now();
    this.emit({ type: 'stage', stage, ...(message === undefined ? {} : { message }) });
  }

  progress(fraction: number): void { if (this.current) this.emit({ type: 'stage', stage: this.current, fraction }); }

  private stop(): void {
    if (this.current) this.totals.set(this.current, (this.totals.get(this.current) ?? 0) + (performance.now() - this.since) / 1000);
    this.current = undefined;
  }

  /** Seconds by stage so far, and their total. */
  seconds(): Record<string, number> {
    const running = this.current;
    this.stop();
    if (running) { this.current = running; this.since = performance.now(); }
    const rounded = (value: number): number => Math.round(value * 1000) / 1000;
    return { ...Object.fromEntries([...this.totals].map(([stage, value]) => [stage, rounded(value)])), total: rounded([...this.totals.values()].reduce((a, b) => a + b, 0)) };
  }
}
