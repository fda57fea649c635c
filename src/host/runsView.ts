import { basename, dirname } from 'node:path';
import * as vscode from 'vscode';
import type { RunStatus } from '../webview/client/state.ts';
import { type Run, type RunManager, hasCandidates, isActive, isResumable, modelNameOf } from './runManager.ts';
import { createdText, outcomeText, statusText, targetText } from './texts.ts';

export interface ModelNode { readonly modelPath: string }
export interface RunNode { readonly runId: string }
type TreeNode = ModelNode | RunNode;

const icons: Readonly<Record<RunStatus, string>> = { queued: 'clock', running: 'sync~spin', stopping: 'sync~spin', stopped: 'debug-pause', interrupted: 'debug-pause', crashed: 'error', failed: 'error', done: 'pass' };

/** The tree of runs by model. */
export class RunsView implements vscode.TreeDataProvider<TreeNode> {
  private readonly runs: RunManager;
  private readonly changes = new vscode.EventEmitter<TreeNode | undefined>();
  readonly onDidChangeTreeData = this.changes.event;

  constructor(runs: RunManager) {
    this.runs = runs;
    runs.on('changed', () => this.changes.fire(undefined));
  }

  /** Shows finished runs of the command line too. Their reports name files that will be read, so only those of a trusted folder are taken in. */
  async refresh(): Promise<void> {
    if (vscode.workspace.isTrusted) {
      const reports = await vscode.workspace.findFiles('**/.auto-compress/*/*/report.json', null);
      await this.runs.adopt(reports.map(({ fsPath }) => dirname(fsPath)));
    }
    this.changes.fire(undefined);
  }

  getChildren(node?: TreeNode): TreeNode[] {
    const runs = this.runs.list();
    if (!node) return [...new Set(runs.map(({ record }) => record.modelPath))].map((modelPath) => ({ modelPath }));
    return 'modelPath' in node ? runs.filter(({ record }) => record.modelPath === node.modelPath).map(({ record }) => ({ runId: record.runId })) : [];
  }

  getTreeItem(node: TreeNode): vscode.TreeItem {
    if ('modelPath' in node) {
      const item = new vscode.TreeItem(basename(node.modelPath), vscode.TreeItemCollapsibleState.Expanded);
      item.id = `model:${node.modelPath}`;
      item.description = dirname(vscode.workspace.asRelativePath(node.modelPath)).replace(/^\.$/, '');
      item.iconPath = new vscode.ThemeIcon('symbol-namespace');
      item.contextValue = 'model';
      return item;
    }
    const run = this.runs.get(node.runId);
    return run ? runItem(run) : new vscode.TreeItem('');
  }
}

function runItem({ record }: Run): vscode.TreeItem {
  const outcome = record.outcome && record.status === 'done' ? outcomeText(record.outcome) : undefined;
  const detail = outcome ?? statusText(record.status);
  const item = new vscode.TreeItem(outcome ?? targetText(record.target));
  item.id = record.runId; // by their labels alone VS Code takes one for another
  item.description = [createdText(record), outcome ? record.target : detail].filter(Boolean).join(' · ');
  item.iconPath = new vscode.ThemeIcon(icons[record.status]);
  item.tooltip = [modelNameOf(record), targetText(record.target), detail, record.problem, createdText(record)].filter(Boolean).join('\n');
  const can = { done: record.status === 'done', active: isActive(record.status), ended: !isActive(record.status), resumable: isResumable(record), exportable: hasCandidates(record) };
  item.contextValue = ['run', ...Object.entries(can).filter(([, holds]) => holds).map(([word]) => word)].join(' ');
  item.command = { command: 'autoCompress.openDashboard', title: vscode.l10n.t('Open Dashboard'), arguments: [{ runId: record.runId }] };
  return item;
}
