import * as vscode from 'vscode';
import type { RunEvent } from '../engine/protocol.ts';
import { type Run, type RunManager, isResumable, modelNameOf } from '../host/runManager.ts';
import { renderPage, webviewOptions, webviewTexts } from './page.ts';
import { type DashboardMessage, type HostToDashboard, type RunInfo, dashboardMessageSchema } from './protocol.ts';

export const dashboardViewType = 'autoCompress.dashboard';
const batchMs = 50;

/** What the dashboard's buttons do. */
export type DashboardHandler = (run: Run, message: Exclude<DashboardMessage, { type: 'ready' }>) => void;

/** The dashboards of this window, one a run; a hidden or reloaded one gets a snapshot when it says `ready` again. */
export class DashboardPanels implements vscode.WebviewPanelSerializer<{ readonly runId?: string }> {
  private readonly extensionUri: vscode.Uri;
  private readonly runs: RunManager;
  private readonly handle: DashboardHandler;
  private readonly panels = new Map<string, vscode.WebviewPanel>();
  private readonly pending = new Map<string, RunEvent[]>();

  constructor(extensionUri: vscode.Uri, runs: RunManager, handle: DashboardHandler) {
    this.extensionUri = extensionUri;
    this.runs = runs;
    this.handle = handle;
    runs.on('event', (run, event) => this.queueEvent(run, event));
    runs.on('changed', (run) => { if (run) this.post({ type: 'info', runId: run.record.runId, info: runInfo(run) }); });
  }

  show(runId: string): void {
    const open = this.panels.get(runId);
    if (open) { open.reveal(); return; }
    const run = this.runs.get(runId);
    if (!run) return;
    const panel = vscode.window.createWebviewPanel(dashboardViewType, titleOf(run), vscode.ViewColumn.Active, webviewOptions(this.extensionUri));
    this.attach(panel, runId);
  }

  /** Brings a dashboard back after a window reload. */
  deserializeWebviewPanel(panel: vscode.WebviewPanel, state: { readonly runId?: string } | undefined): Promise<void> {
    panel.webview.options = webviewOptions(this.extensionUri);
    this.attach(panel, state?.runId ?? '');
    return Promise.resolve();
  }

  close(runId: string): void { this.panels.get(runId)?.dispose(); }

  private attach(panel: vscode.WebviewPanel, runId: string): void {
    const held = this.panels.get(runId);
    this.panels.set(runId, panel);
    held?.dispose(); // after a reload a tab in the background comes back only when it is looked at, and another may have been opened meanwhile
    const { webview } = panel;
    const icon = (name: string) => vscode.Uri.joinPath(this.extensionUri, 'media', name);
    panel.iconPath = { light: icon('tab-light.svg'), dark: icon('tab-dark.svg') };
    webview.onDidReceiveMessage((message: unknown) => void this.receive(panel, runId, message));
    panel.onDidDispose(() => { if (this.panels.get(runId) === panel) this.panels.delete(runId); });
    const run = this.runs.get(runId);
    webview.html = renderPage(webview, this.extensionUri, 'dashboard', run ? titleOf(run) : 'Auto-Compress');
  }

  private async receive(panel: vscode.WebviewPanel, runId: string, raw: unknown): Promise<void> {
    const { data: message } = dashboardMessageSchema.safeParse(raw);
    if (!message) return; // not one of the actions: nothing happens
    const run = await this.runs.load(runId);
    if (this.panels.get(runId) !== panel) return; // it gave way to another meanwhile
    if (message.type !== 'ready') { if (run) this.handle(run, message); return; }
    this.pending.delete(runId); // the snapshot holds them
    this.post(run ? { type: 'snapshot', runId, info: runInfo(run), view: run.view, texts: webviewTexts() } : { type: 'gone', runId, texts: webviewTexts() });
  }

  /** Events go out in batches, so that a fast search does not flood the page. */
  private queueEvent(run: Run, event: RunEvent): void {
    const { runId } = run.record;
    if (!this.panels.has(runId)) return;
    const waiting = this.pending.get(runId);
    if (waiting) { waiting.push(event); return; }
    this.pending.set(runId, [event]);
    setTimeout(() => {
      const events = this.pending.get(runId);
      this.pending.delete(runId);
      if (!events) return;
      this.post({ type: 'events', runId, events });
      this.post({ type: 'info', runId, info: runInfo(run) });
    }, batchMs);
  }

  private post(message: HostToDashboard): void { void this.panels.get(message.runId)?.webview.postMessage(message); }
}

const titleOf = ({ record }: Run) => vscode.l10n.t('Compress {0}', modelNameOf(record));
const runInfo = ({ record }: Run): RunInfo => ({
  runId: record.runId, modelName: modelNameOf(record), modelPath: record.modelPath, target: record.target, ...(record.request?.method === undefined ? {} : { method: record.request.method }), status: record.status, resumable: isResumable(record), seconds: record.seconds, ...(record.problem === undefined ? {} : { problem: record.problem }), ...(record.benchmark === undefined ? {} : { benchmark: record.benchmark }),
});
