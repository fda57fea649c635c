import type { RunEvent, Stage } from '../protocol.ts';

/** Announces the stages of a run and adds up the seconds that each takes. */
export class StageClock {
  private readonly emit: (event: RunEvent) => void;
  private readonly totals = new Map<string, number>();
  private current: Stage | undefined;
  private since = performance.now();

  constructor(emit: (event: RunEvent) => void) { this.emit = emit; }

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
