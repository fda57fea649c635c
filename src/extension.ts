import { join } from 'node:path';
import * as vscode from 'vscode';
import { EngineClient } from './engine/client.ts';
import { type AutoCompressApi, createApi } from './host/api.ts';
import { type CommandContext, registerCommands } from './host/commands.ts';
import { Example } from './host/example.ts';
import { Inspections } from './host/inspections.ts';
import { registerLanguageModelTools } from './host/languageModelTools.ts';
import { rememberSettings } from './host/lastSettings.ts';
import { ModelText, onnxScheme } from './host/modelText.ts';
import { OnnxEditor, onnxEditorViewType } from './host/onnxEditor.ts';
import { hasRuntime } from './host/platform.ts';
import { Reports } from './host/reports.ts';
import { RunManager } from './host/runManager.ts';
import { RunProgress } from './host/runProgress.ts';
import { RunStore } from './host/runStore.ts';
import { RunsView } from './host/runsView.ts';
import { requestFromSettings } from './host/settings.ts';
import { SparsityIndex } from './host/sparsityIndex.ts';
import { registerSparsityHints } from './host/sparsityHints.ts';
import { CompressTasks, taskType } from './host/tasks.ts';
import { useTexts } from './webview/client/l10n.ts';
import { webviewTexts } from './webview/page.ts';
import { DashboardPanels, dashboardViewType } from './webview/panel.ts';

export function activate(context: vscode.ExtensionContext): AutoCompressApi {
  useTexts(webviewTexts(), vscode.env.language); // for the parts of the host that know nothing of VS Code
  const { extensionUri, extensionPath, globalStorageUri, storageUri, subscriptions, workspaceState } = context;
  const createEngine = () => new EngineClient(join(extensionPath, 'dist', 'worker.js'));
  const runs = new RunManager({
    store: new RunStore(workspaceState, join(globalStorageUri.fsPath, 'runs'), storageUri && join(storageUri.fsPath, 'runs')), createEngine,
  });
  const inspections = new Inspections(createEngine());
  const texts = new ModelText(inspections);
  const runsView = new RunsView(runs);
  const dashboards = new DashboardPanels(extensionUri, runs, ({ record: { runId } }, message) => {
    if (message.type === 'export') void vscode.commands.executeCommand('autoCompress.exportPoint', { runId, episode: message.episode });
    else void vscode.commands.executeCommand(`autoCompress.${message.action}`, { runId });
  });
  const commandContext: CommandContext = { runs, inspections, dashboards, texts, example: new Example(extensionUri, globalStorageUri), runsView, workspaceState };
  const openResult = (runId: string) => void vscode.commands.executeCommand('autoCompress.openResult', { runId });
  const progress = new RunProgress(runs, { showDashboard: (runId) => dashboards.show(runId), openResult });
  const resultsChanged = new vscode.EventEmitter<void>();
  const api = createApi(runs, inspections);
  const blocked = hasRuntime(extensionPath) ? undefined
    : vscode.l10n.t('Auto-Compress has no engine for this computer ({0}, {1}): ONNX Runtime is not made for it. It runs on Windows, Linux, and Macs with Apple processors.', process.platform, process.arch);

  subscriptions.push(
    runs, inspections, texts, progress, resultsChanged, registerCommands(commandContext, blocked), registerSparsityHints(texts, new SparsityIndex(runs, inspections), resultsChanged.event),
    vscode.workspace.registerTextDocumentContentProvider(onnxScheme, texts), Reports.register(),
    vscode.window.registerCustomEditorProvider(onnxEditorViewType, new OnnxEditor(extensionUri, inspections), { supportsMultipleEditorsPerDocument: true }),
    vscode.window.registerWebviewPanelSerializer(dashboardViewType, dashboards),
    vscode.window.registerTreeDataProvider('autoCompress.runs', runsView), vscode.tasks.registerTaskProvider(taskType, new CompressTasks(runs)),
    registerLanguageModelTools(runs, inspections),
  );
  runs.on('ended', () => resultsChanged.fire());
  runs.on('changed', (run) => { if (!run) resultsChanged.fire(); }); // one or its result was found in a folder, or it was deleted
  runs.on('event', ({ record: { request } }, event) => { // from here on nothing of it can be refused
    if (event.type === 'model' && request) void rememberSettings(workspaceState, request, requestFromSettings(vscode.Uri.file(request.model), request.val));
  });
  if (blocked) void vscode.window.showErrorMessage(blocked);
  subscriptions.push(vscode.workspace.onDidGrantWorkspaceTrust(() => void runsView.refresh()));
  void runsView.refresh().then(() => progress.offerInterrupted());
  return api;
}
