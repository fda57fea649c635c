import { basename } from 'node:path';
import * as vscode from 'vscode';
import { messageOf } from '../engine/errors.ts';
import { renderPage, webviewOptions, webviewTexts } from '../webview/page.ts';
import { type HostToModelView, modelViewMessageSchema } from '../webview/protocol.ts';
import type { Inspections } from './inspections.ts';
import { onModelChange } from './modelWatcher.ts';
import { onDisk } from './onDisk.ts';

export const onnxEditorViewType = 'autoCompress.onnxEditor';

/** The read-only editor of `.onnx` files. The file is read in the engine's process, never here. */
export class OnnxEditor implements vscode.CustomReadonlyEditorProvider {
  private readonly extensionUri: vscode.Uri;
  private readonly inspections: Inspections;

  constructor(extensionUri: vscode.Uri, inspections: Inspections) {
    this.extensionUri = extensionUri;
    this.inspections = inspections;
  }

  openCustomDocument(uri: vscode.Uri): vscode.CustomDocument { return { uri, dispose() { /* nothing is held */ } }; }

  resolveCustomEditor({ uri }: vscode.CustomDocument, { webview, onDidDispose }: vscode.WebviewPanel): void {
    webview.options = webviewOptions(this.extensionUri);
    const closed = new AbortController();
    const post = (message: HostToModelView) => { if (!closed.signal.aborted) void webview.postMessage(message); };
    const send = async () => {
      try { post({ type: 'inspection', inspection: await this.inspections.inspect(onDisk(uri).fsPath, { signal: closed.signal }), texts: webviewTexts() }); } catch (error) { post({ type: 'failed', message: messageOf(error), texts: webviewTexts() }); }
    };
    webview.onDidReceiveMessage((raw: unknown) => {
      const { data: message } = modelViewMessageSchema.safeParse(raw);
      if (message?.type === 'ready') void send();
      else if (message) void vscode.commands.executeCommand(`autoCompress.${message.action}`, uri);
    });
    const watcher = onModelChange(uri, () => void send());
    onDidDispose(() => { watcher.dispose(); closed.abort(); });
    webview.html = renderPage(webview, this.extensionUri, 'model', basename(uri.fsPath));
  }
}
