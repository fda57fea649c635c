import { basename } from 'node:path';
import * as vscode from 'vscode';
import { messageOf } from '../engine/errors.ts';
import type { GraphListing } from '../engine/protocol.ts';
import type { Inspections } from './inspections.ts';
import { onModelChange } from './modelWatcher.ts';
import { type Analysed, type OnnxText, onnxText } from './onnxText.ts';

export const onnxScheme = 'onnx';
/** The text view of a model file; by its name VS Code knows the language. */
export const textUri = (model: vscode.Uri): vscode.Uri => model.with({ scheme: onnxScheme, path: `${model.path}.txt` });
/** The model file behind a text view. */
export const modelOfText = (uri: vscode.Uri): vscode.Uri => uri.with({ scheme: 'file', path: uri.path.slice(0, -'.txt'.length) });

/** Serves `onnx:` documents: a model's nodes as text, at once; what can be pruned is added when the engine's analysis is done. */
export class ModelText implements vscode.TextDocumentContentProvider, vscode.Disposable {
  private readonly inspections: Inspections;
  private readonly changes = new vscode.EventEmitter<vscode.Uri>();
  readonly onDidChange = this.changes.event;
  /** What watches the model of each open document. */
  private readonly watchers = new Map<string, vscode.Disposable>();
  /** An analysis that was done before the document was open could not change it: its text is asked for once more. */
  private readonly documents = vscode.Disposable.from(
    vscode.workspace.onDidOpenTextDocument(({ uri }) => { if (this.watch(uri)) this.changes.fire(uri); }),
    vscode.workspace.onDidCloseTextDocument(({ uri }) => this.unwatch(uri.toString())),
  );
  private readonly analysed = new Map<string, { readonly listing: GraphListing; readonly analysed: Analysed }>();

  constructor(inspections: Inspections) {
    this.inspections = inspections;
    for (const { uri } of vscode.workspace.textDocuments) this.watch(uri);
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
    await vscode.window.showTextDocument(document, { preview: false });
  }

  /** Follows the model of an open document; false where it is none of a model's text. */
  private watch(uri: vscode.Uri): boolean {
    if (uri.scheme !== onnxScheme) return false;
    const key = uri.toString();
    if (!this.watchers.has(key)) this.watchers.set(key, onModelChange(modelOfText(uri), () => this.changes.fire(uri)));
    return true;
  }

  private unwatch(key: string): void { this.watchers.get(key)?.dispose(); this.watchers.delete(key); }

  dispose(): void {
    this.documents.dispose();
    for (const key of [...this.watchers.keys()]) this.unwatch(key);
    this.changes.dispose();
  }
}
