import { printable } from '../errors.ts';
import type { RunEvent, Stage } from '../protocol.ts';
import { bar, duration, percent } from './format.ts';

const stageNames: Readonly<Record<Stage, string>> = { load: 'Reading the model', analyse: 'Analysing', data: 'Reading data', calibrate: 'Calibrating', search: 'Searching', rebuild: 'Rebuilding', refine: 'Refining', finetune: 'Fine-tuning', report: 'Measuring' };

/** A stream that progress is written to. */
export interface ProgressStream { readonly isTTY?: boolean; readonly columns?: number; write(text: string): unknown }

/** What goes on, for a person: one line that is drawn again on a terminal; elsewhere a line at every stage and at most one in ten seconds. */
export class ProgressLine {
  private readonly stream: ProgressStream;
  private readonly now: () => number;
  private drawn = false;
  private last = -Infinity;
  private stage: Stage = 'load';

  constructor(stream: ProgressStream, now: () => number = () => performance.now()) {
    this.stream = stream;
    this.now = now;
  }

  /** A line that stays. */
  note(line: string): void {
    this.clear();
    this.stream.write(`${printable(line)}\n`);
  }

  /** The present state, which the next one replaces. @param important shown also where lines can't be drawn again, whatever was shown before */
  show(line: string, important = false): void {
    const now = this.now();
    if (now - this.last < (this.stream.isTTY ? 100 : 10_000) && !important) return;
    this.last = now;
    const shown = printable(line);
    if (!this.stream.isTTY) { this.stream.write(`${shown}\n`); return; }
    this.stream.write(`\r\x1b[K${shown.slice(0, Math.max(20, (this.stream.columns ?? 80) - 1))}`);
    this.drawn = true;
  }

  clear(): void {
    if (this.drawn) this.stream.write('\r\x1b[K');
    this.drawn = false;
  }

  event(event: RunEvent): void {
    switch (event.type) {
      case 'run': this.note(`${event.resumed ? 'Resumed run' : 'Run'} ${event.runDir}`); break;
      case 'model': this.note(`${event.path}: ${event.layers.length} layers, ${event.groups.length} pruning groups${event.frozen.length > 0 ? `, outputs of ${event.frozen.length} layers stay whole` : ''}`); break;
      case 'data': this.note(`${event.images} images${event.classes > 0 ? `, ${event.classes} classes` : ''}; preprocessing: ${event.preprocessing}; ${event.metric} of the original ${percent(event.accuracy, 2)}`); break;
      case 'baseline': this.note(`Baseline ${event.baseline.policy}: ${percent(event.baseline.accuracy, 2)} at ${event.baseline.macs.toFixed(3)} of the MACs`); break;
      case 'warning': this.note(`Note: ${event.message}`); break;
      case 'stage':
        this.stage = event.stage;
        this.show(`${stageNames[event.stage]}${event.message ? `: ${event.message}` : ''}${event.fraction === undefined ? '' : ` ${bar(event.fraction, 20)} ${percent(event.fraction, 0)}`}${event.secondsLeft === undefined ? '' : `, ${duration(event.secondsLeft)} left`}`, event.fraction === undefined);
        break;
      case 'episode': this.show(`Searching ${bar(event.candidate.episode / event.episodes, 20)} episode ${event.candidate.episode} of ${event.episodes}, best ${percent(event.bestAccuracy, 2)}, ${duration(event.secondsLeft)} left`, event.best && this.stream.isTTY === true); break;
      case 'training': this.show(`${stageNames[this.stage]}: epoch ${event.epoch.toFixed(1)} of ${event.epochs}, loss ${event.loss.toFixed(4)}${event.accuracy === undefined ? '' : `, ${percent(event.accuracy, 2)}`}, ${duration(event.secondsLeft)} left`); break;
      case 'result': case 'error': this.clear(); break;
      default: { const never: never = event; return never; }
    }
  }
}
