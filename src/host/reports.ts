import { basename } from 'node:path';
import * as vscode from 'vscode';
import { readReport } from './runStore.ts';
import { reportMarkdown } from './reportText.ts';

const scheme = 'auto-compress-report';

/** Reports as rendered Markdown, made from report.json when they are opened. */
export class Reports implements vscode.TextDocumentContentProvider {
  static register(): vscode.Disposable { return vscode.workspace.registerTextDocumentContentProvider(scheme, new Reports()); }

  async provideTextDocumentContent(uri: vscode.Uri): Promise<string> {
    const report = await readReport(uri.query);
    return report ? reportMarkdown(report) : vscode.l10n.t('There is no report in {0}.', uri.query);
  }
}

/** Opens the report of a run folder in the Markdown preview. */
export async function openReport(runDir: string, modelPath: string): Promise<void> {
  await vscode.commands.executeCommand('markdown.showPreview', vscode.Uri.from({ scheme, path: `/${basename(modelPath)} report.md`, query: runDir }));
}
