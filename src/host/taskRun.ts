/** A run in a task's terminal. Pure: no VS Code. */
import { messageOf } from '../engine/errors.ts';
import type { CompressRequest, Report, RunEvent } from '../engine/protocol.ts';
import { t } from '../webview/client/l10n.ts';
import type { RunView } from '../webview/client/state.ts';
import { type Run, type RunManager, isActive } from './runManager.ts';

/** Where its lines go, and the exit status that ends it. */
interface Terminal { readonly line: (text: string) => void; readonly end: (exitStatus: number) => void }
interface Texts { readonly progress: (view: RunView) => string; readonly report: (report: Report) => string }

const controlC = '\x03';

/** Tells of a run in lines of text; closing it, or Ctrl-C, stops the run. */
export class TaskRun {
  private readonly runs: RunManager;
  private readonly terminal: Terminal;
  private readonly texts: Texts;
  private run: Run | undefined;

  constructor(runs: RunManager, terminal: Terminal, texts: Texts) {
    this.runs = runs;
    this.terminal = terminal;
    this.texts = texts;
  }

  /** @param request throws what is wrong with the task */
  open(request: () => CompressRequest): void {
    try {
      const run = this.runs.start(request());
      this.run = run;
      if (this.runs.activeRun() !== run) this.terminal.line(t('Waits until the run before it is done.'));
      this.runs.on('event', this.onEvent);
      void this.runs.finished(run.record.runId).then((report) => { this.terminal.line(this.texts.report(report)); this.end(0, report.out); }, (error: unknown) => this.end(1, messageOf(error)));
    } catch (error) {
      this.end(2, messageOf(error));
    }
  }

  input(typed: string): void { if (typed.includes(controlC)) this.close(); }
  close(): void { if (this.run && isActive(this.run.record.status)) void this.runs.stop(this.run.record.runId); }

  private readonly onEvent = (run: Run, event: RunEvent): void => {
    if (run !== this.run) return;
    if (event.type === 'episode' || event.type === 'stage' || event.type === 'training') this.terminal.line(this.texts.progress(run.view));
    if (event.type === 'warning') this.terminal.line(event.message);
  };

  private end(exitStatus: number, text: string): void {
    this.runs.off('event', this.onEvent);
    this.terminal.line(text);
    this.terminal.end(exitStatus);
  }
}
