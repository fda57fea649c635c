import { basename } from 'node:path';
import * as vscode from 'vscode';
import { type ModelText, modelOfText, onnxScheme } from './modelText.ts';
import { planNotes } from './planText.ts';
import { matchLayers } from './python/matchLayers.ts';
import { annotationsEnabled, pythonAnnotationsEnabled } from './settings.ts';
import { type LayerChange, changeLabel, changesTable, changesText } from './sparsity.ts';
import type { SparsityIndex } from './sparsityIndex.ts';

/** Something to say on a line: at a character of it, or at its end. */
interface Annotation { readonly line: number; readonly character?: number; readonly label: string; readonly hover: vscode.MarkdownString }
type Annotate = (document: vscode.TextDocument) => Promise<readonly Annotation[]>;

/** Sparsity beside each layer, as inlay hints with hovers, in one kind of document. */
class SparsityHints implements vscode.InlayHintsProvider, vscode.HoverProvider {
  readonly onDidChangeInlayHints: vscode.Event<void>;
  private readonly annotate: Annotate;

  constructor(annotate: Annotate, changed: vscode.Event<void>) {
    this.annotate = annotate;
    this.onDidChangeInlayHints = changed;
  }

  async provideInlayHints(document: vscode.TextDocument, range: vscode.Range): Promise<vscode.InlayHint[]> {
    return (await this.annotate(document)).filter(({ line }) => line >= range.start.line && line <= range.end.line).map(({ line, character, label, hover }) => {
      const hint = new vscode.InlayHint(character === undefined ? document.lineAt(line).range.end : new vscode.Position(line, character), label);
      hint.tooltip = hover;
      hint.paddingLeft = true;
      hint.paddingRight = character !== undefined;
      return hint;
    });
  }

  async provideHover(document: vscode.TextDocument, position: vscode.Position): Promise<vscode.Hover | undefined> {
    const annotation = (await this.annotate(document)).find(({ line }) => line === position.line);
    return annotation && new vscode.Hover(annotation.hover);
  }
}

const hoverOf = (changes: readonly LayerChange[], model: string): vscode.MarkdownString => new vscode.MarkdownString(
  `**${vscode.l10n.t('Compressed by Auto-Compress: {0}', model)}**\n\n${changesTable(changes)}`);

/** Layers of the `onnx:` text view, beside the operator: lines are long. */
const annotateText = (texts: ModelText, index: SparsityIndex): Annotate => async (document) => {
  const changes = annotationsEnabled() ? await index.of(modelOfText(document.uri).fsPath) : undefined;
  if (!changes) return [];
  const { nodeAtLine } = await texts.read(document.uri);
  const byName = new Map(changes.layers.map((layer) => [layer.name, layer]));
  return [...nodeAtLine].flatMap(([line, { name, afterOperator }]) => {
    const change = byName.get(name);
    return change && line < document.lineCount ? [{ line, character: afterOperator, label: changeLabel(change), hover: hoverOf([change], basename(changes.modelPath)) }] : [];
  });
};

/** Definitions in Python sources; the model's name is said where several models fit one source. */
const annotatePython = (index: SparsityIndex): Annotate => async (document) => {
  if (!pythonAnnotationsEnabled()) return [];
  const source = document.getText();
  if (!/\bself\b/.test(source)) return [];
  const matched = (await index.all()).map((changes) => ({ changes, definitions: matchLayers(source, changes.layers) })).filter(({ definitions }) => definitions.length > 0);
  return matched.flatMap(({ changes, definitions }) => definitions.map(({ offset, layers }) => ({
    line: document.positionAt(offset).line,
    label: matched.length > 1 ? `${basename(changes.modelPath)}: ${changesText(layers)}` : changesText(layers),
    hover: hoverOf(layers, basename(changes.modelPath)),
  })));
};

/** Groups and single weights of a plan.json. */
const annotatePlan: Annotate = (document) => Promise.resolve(!annotationsEnabled() ? [] : planNotes(document.getText()).map(({ offset, name, label, text }) => ({
  line: document.positionAt(offset).line, label, hover: new vscode.MarkdownString(`**${name}**: ${text}`),
})));

/** Registers the hints; they follow the settings and `resultsChanged`. */
export function registerSparsityHints(texts: ModelText, index: SparsityIndex, resultsChanged: vscode.Event<void>): vscode.Disposable {
  const changed = new vscode.EventEmitter<void>();
  const register = (selector: vscode.DocumentSelector, annotate: Annotate) => {
    const hints = new SparsityHints(annotate, changed.event);
    return [vscode.languages.registerInlayHintsProvider(selector, hints), vscode.languages.registerHoverProvider(selector, hints)];
  };
  return vscode.Disposable.from(
    changed, resultsChanged(() => changed.fire()), vscode.workspace.onDidChangeConfiguration((event) => { if (event.affectsConfiguration('autoCompress.annotations')) changed.fire(); }),
    ...register({ scheme: onnxScheme }, annotateText(texts, index)),
    ...register({ language: 'python', scheme: 'file' }, annotatePython(index)),
    ...register([{ pattern: '**/.auto-compress/**/plan.json' }, { pattern: '**/*.plan.json' }], annotatePlan),
  );
}
