import * as vscode from 'vscode';

/** Most answers come sooner: a notification that flashes tells nothing. */
const patienceMs = 500;

/** Runs something that may take long; after a moment with a notification by which it can be cancelled. */
export async function withProgress<T>(title: string, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const abort = new AbortController(), result = work(abort.signal);
  if (await isOver(result)) return result;
  return vscode.window.withProgress({ location: vscode.ProgressLocation.Notification, title, cancellable: true }, (_progress, token) => {
    token.onCancellationRequested(() => abort.abort());
    return result;
  });
}

/** Whether work ends, in one way or the other, before patience does. */
function isOver(work: Promise<unknown>): Promise<boolean> {
  return new Promise((resolve) => {
    const timer = setTimeout(() => resolve(false), patienceMs), over = () => { clearTimeout(timer); resolve(true); };
    work.then(over, over);
  });
}
