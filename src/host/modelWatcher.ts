import * as vscode from 'vscode';

/** Calls `tell` when the file of a model changes or another is renamed over it, in a workspace or not. Its whole folder is watched: brackets in a name would mean something else in a pattern. */
export function onModelChange(model: vscode.Uri, tell: () => void): vscode.Disposable {
  const watcher = vscode.workspace.createFileSystemWatcher(new vscode.RelativePattern(vscode.Uri.joinPath(model, '..'), '*'));
  const compare = ({ fsPath }: vscode.Uri) => { if (fsPath === model.fsPath) tell(); };
  watcher.onDidChange(compare);
  watcher.onDidCreate(compare);
  return watcher;
}
