import * as vscode from 'vscode';
import { formatList } from '../webview/client/l10n.ts';
import { type Run, type RunManager, isActive, isResumable, modelNameOf } from './runManager.ts';
import { increments } from './progressBar.ts';
import { outcomeText, progressText } from './texts.ts';

interface Actions { readonly showDashboard: (runId: string) => void; readonly openResult: (runId: string) => void }

/** What is said of runs outside their dashboards: the status bar, a cancellable notification while one runs, a message when it ends. */
export class RunProgress implements vscode.Disposable {
  private readonly runs: RunManager;
  private readonly actions: Actions;
  private readonly item = vscode.window.createStatusBarItem('autoCompress.run', vscode.StatusBarAlignment.Left, 10);
  private shown: string | undefined;

  constructor(runs: RunManager, actions: Actions) {
    this.runs = runs;
    this.actions = actions;
    this.item.name = 'Auto-Compress';
    runs.on('event', (run) => this.updateItem(run));
    runs.on('changed', (run) => {
      this.updateItem(runs.activeRun());
      if (run?.record.status === 'running' && this.shown !== run.record.runId) void this.showNotification(run);
      this.updateContext();
    });
    runs.on('ended', (run) => void this.tellEnd(run));
    this.updateContext(); // of the runs that are remembered
  }

  /** After a window reload: runs that the reload cut short. */
  async offerInterrupted(): Promise<void> {
    const cut = this.runs.cutShort.filter(({ record }) => isResumable(record)), [first] = cut;
    if (!first) return;
    const message = cut.length === 1 ? vscode.l10n.t('The compression of {0} was cut short when the window closed.', modelNameOf(first.record))
      : vscode.l10n.t('{0} compressions were cut short when the window closed: {1}.', cut.length, formatList(cut.map(({ record }) => modelNameOf(record))));
    const resume = cut.length === 1 ? vscode.l10n.t('Resume') : vscode.l10n.t('Resume All'), show = vscode.l10n.t('Show Dashboard');
    const answer = await vscode.window.showInformationMessage(message, resume, show);
    if (answer === resume) for (const { record } of cut) await this.runs.resume(record.runId); // in their order
    if (answer) this.actions.showDashboard(first.record.runId);
  }

  dispose(): void { this.item.dispose(); }

  /** What the palette offers. */
  private updateContext(): void {
    const runs = this.runs.list();
    void vscode.commands.executeCommand('setContext', 'autoCompress.running', runs.some(({ record }) => isActive(record.status)));
    void vscode.commands.executeCommand('setContext', 'autoCompress.hasRuns', runs.length > 0);
  }

  private updateItem(run: Run | undefined): void {
    if (!run || !isActive(run.record.status)) { this.item.hide(); return; }
    const text = progressText(run.view);
    this.item.text = `$(sync~spin) ${modelNameOf(run.record)}: ${text}`;
    this.item.tooltip = vscode.l10n.t('Auto-Compress is working. Click for the dashboard.');
    this.item.accessibilityInformation = { label: vscode.l10n.t('Compressing {0}: {1}', modelNameOf(run.record), text), role: 'button' };
    this.item.command = { command: 'autoCompress.openDashboard', title: vscode.l10n.t('Show Dashboard'), arguments: [{ runId: run.record.runId }] };
    this.item.show();
  }

  private async showNotification(run: Run): Promise<void> {
    const { runId } = run.record;
    this.shown = runId;
    await vscode.window.withProgress({ location: vscode.ProgressLocation.Notification, cancellable: true, title: vscode.l10n.t('Compressing {0}', modelNameOf(run.record)) }, (progress, token) => new Promise<void>((resolve) => {
      const advance = increments(Date.now());
      const report = (changed: Run) => { if (changed === run) progress.report({ message: progressText(run.view), ...advance(Date.now(), run.view.secondsLeft) }); };
      const end = (ended: Run) => {
        if (ended !== run) return;
        this.runs.off('event', report);
        this.runs.off('ended', end);
        this.shown = undefined;
        resolve();
      };
      this.runs.on('event', report);
      this.runs.on('ended', end);
      token.onCancellationRequested(() => void this.runs.stop(runId));
    }));
  }

  private async tellEnd({ record }: Run): Promise<void> {
    const name = modelNameOf(record);
    const resume = vscode.l10n.t('Resume'), show = vscode.l10n.t('Show Dashboard'), open = vscode.l10n.t('Open Compressed Model');
    const again = isResumable(record) ? [resume] : [];
    const message = (): Thenable<string | undefined> => {
      switch (record.status) {
        case 'done': return vscode.window.showInformationMessage(vscode.l10n.t('{0} is compressed: {1}.', name, record.outcome ? outcomeText(record.outcome) : ''), open, show);
        case 'stopped': return vscode.window.showInformationMessage(vscode.l10n.t('The compression of {0} is stopped.', name), ...again);
        case 'crashed': return vscode.window.showErrorMessage(vscode.l10n.t('{0}: {1}', name, record.problem ?? ''), ...again, show);
        default: return vscode.window.showErrorMessage(vscode.l10n.t("{0} can't be compressed: {1}", name, record.problem ?? ''));
      }
    };
    const answer = await message();
    if (answer === resume) await this.runs.resume(record.runId);
    if (answer === show || answer === resume) this.actions.showDashboard(record.runId);
    if (answer === open) this.actions.openResult(record.runId);
  }
}
