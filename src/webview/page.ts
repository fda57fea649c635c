import { randomBytes } from 'node:crypto';
import * as vscode from 'vscode';

/** The page of a webview: one script and one style sheet of the extension, and nothing else may run or load. `view` tells the script what to show. */
export function renderPage(webview: vscode.Webview, extensionUri: vscode.Uri, view: 'dashboard' | 'model', title: string): string {
  const nonce = randomBytes(16).toString('base64');
  const dist = vscode.Uri.joinPath(extensionUri, 'dist');
  const asset = (name: string) => webview.asWebviewUri(vscode.Uri.joinPath(dist, name)).toString();
  const policy = ["default-src 'none'", `script-src 'nonce-${nonce}'`, `style-src ${webview.cspSource}`, `font-src ${webview.cspSource}`].join('; ');
  return `<!DOCTYPE html>
<html lang="${escapeHtml(vscode.env.language)}">
<head>
<meta charset="UTF-8">
<meta http-equiv="Content-Security-Policy" content="${policy}">
<meta name="viewport" content="width=device-width, initial-scale=1.0">
<link rel="stylesheet" href="${asset('webview.css')}">
<title>${escapeHtml(title)}</title>
</head>
<body data-view="${view}">
<main id="app"></main>
<script type="module" nonce="${nonce}" src="${asset('webview.js')}"></script>
</body>
</html>`;
}

/** Options of every webview here: scripts, and files from dist/ only. */
export const webviewOptions = (extensionUri: vscode.Uri): vscode.WebviewOptions =>
  ({ enableScripts: true, localResourceRoots: [vscode.Uri.joinPath(extensionUri, 'dist')] });

/** Translations for the webview's own texts, keyed by the English text. */
export function webviewTexts(): Readonly<Record<string, string>> {
  const bundle = vscode.l10n.bundle ?? {};
  return Object.fromEntries(Object.entries(bundle).map(([key, value]) => [key, typeof value === 'string' ? value : (value as { message: string }).message]));
}

const escapeHtml = (text: string) => text.replace(/[&<>"']/g, (c) => `&#${c.charCodeAt(0)};`);
