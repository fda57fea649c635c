import { basename } from 'node:path';
import * as vscode from 'vscode';
import { messageOf } from '../engine/errors.ts';
import type { GraphListing } from '../engine/protocol.ts';
import type { Inspections } from './inspections.ts';
import { type Analysed, type OnnxText, onnxText } from './onnxText.ts';

export const onnxScheme = 'onnx';
export const onnxLanguage = 'onnx-text';
/** The text view of a model file. */
export const textUri = (model: vscode.Uri): vscode.Uri => model.with({ scheme: onnxScheme, path: `${model.path}.txt` });
/** The model file behind a text view. */
export const modelOfText = (uri: vscode.Uri): vscode.Uri => uri.with({ scheme: 'file', path: uri.path.slice(0, -'.txt'.length) });

/** Serves `onnx:` documents: a model's nodes as text, at once; what can be pruned is added when the engine's analysis is done. */
export class ModelText implements vscode.TextDocumentContentProvider, vscode.Disposable {
  private readonly inspections: Inspections;
  private readonly changes = new vscode.EventEmitter<vscode.Uri>();
  readonly onDidChange = this.changes.event;
  private readonly watcher = vscode.workspace.createFileSystemWatcher('**/*.onnx');
  /** An analysis that was done before the document was open could not change it: its text is asked for once more. */
  private readonly opened = vscode.workspace.onDidOpenTextDocument(({ uri }) => { if (uri.scheme === onnxScheme) this.changes.fire(uri); });
  private readonly analysed = new Map<string, { readonly listing: GraphListing; readonly analysed: Analysed }>();

  constructor(inspections: Inspections) {
    this.inspections = inspections;
    const refresh = (uri: vscode.Uri) => { if (vscode.workspace.textDocuments.some((document) => document.uri.toString() === textUri(uri).toString())) this.changes.fire(textUri(uri)); };
    this.watcher.onDidChange(refresh);
    this.watcher.onDidCreate(refresh);
  }

  async provideTextDocumentContent(uri: vscode.Uri): Promise<string> {
    try { return (await this.read(uri)).text; } catch (error) { return `# ${messageOf(error)}\n`; }
  }

  /** The text with the node of each line. */
  async read(uri: vscode.Uri): Promise<OnnxText> {
    const { fsPath } = modelOfText(uri);
    const listing = await this.inspections.list(fsPath);
    const known = this.analysed.get(fsPath);
    if (known?.listing !== listing) void this.analyse(uri, listing);
    return onnxText(listing, basename(fsPath), known?.listing === listing ? known.analysed : undefined);
  }

  /** Once the analysis of this state of the file is there, the text is asked for again. */
  private async analyse(uri: vscode.Uri, listing: GraphListing): Promise<void> {
    const { fsPath } = modelOfText(uri);
    this.analysed.set(fsPath, { listing, analysed: undefined });
    const analysed = await this.inspections.inspect(fsPath).catch((error: unknown) => ({ problem: messageOf(error) }));
    if (this.analysed.get(fsPath)?.listing !== listing) return;
    this.analysed.set(fsPath, { listing, analysed });
    this.changes.fire(uri);
  }

  async show(model: vscode.Uri): Promise<void> {
    const document = await vscode.workspace.openTextDocument(textUri(model));
    await vscode.languages.setTextDocumentLanguage(document, onnxLanguage);
    await vscode.window.showTextDocument(document, { preview: false });
  }

  dispose(): void { this.changes.dispose(); this.watcher.dispose(); this.opened.dispose(); }
}
