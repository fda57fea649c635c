import { basename } from 'node:path';
import * as vscode from 'vscode';
import { CancelledError, messageOf } from '../engine/errors.ts';
import type { CompressRequest } from '../engine/protocol.ts';
import { speedText } from '../webview/client/words.ts';
import type { DashboardPanels } from '../webview/panel.ts';
import { CompressWizard, pickModel, requestFromLast } from './compressWizard.ts';
import type { Example } from './example.ts';
import type { Inspections } from './inspections.ts';
import { inTurn } from './inTurn.ts';
import { lastSettings } from './lastSettings.ts';
import { episodePath, modelPair } from './modelPair.ts';
import { type ModelText, textUri } from './modelText.ts';
import { onDisk } from './onDisk.ts';
import { onnxEditorViewType } from './onnxEditor.ts';
import { outputOf } from './outputs.ts';
import { withProgress } from './progress.ts';
import { openReport } from './reports.ts';
import { type Run, type RunManager, hasCandidates, isActive, isResumable, modelNameOf } from './runManager.ts';
import type { ModelNode, RunNode, RunsView } from './runsView.ts';
import { opensDashboard, toggleAnnotations } from './settings.ts';
import { createdText, outcomeText, statusText, targetText } from './texts.ts';
import { writersOf } from './writers.ts';

export interface CommandContext {
  readonly runs: RunManager;
  readonly inspections: Inspections;
  readonly dashboards: DashboardPanels;
  readonly texts: ModelText;
  readonly example: Example;
  readonly runsView: RunsView;
  readonly workspaceState: vscode.Memento;
}

/** What a command is for: a file, a run (and a candidate of it), or nothing where it has to find out. */
type Subject = vscode.Uri | RunSubject | undefined;
type RunSubject = RunNode & { readonly episode?: number };
/** What menus, views, the walkthrough and other commands hand over. */
type Given = Subject | ModelNode | 'example';
type Command = (context: CommandContext, subject: Subject, selected?: readonly vscode.Uri[]) => Promise<void>;

const t = vscode.l10n.t;

/** Every command, by its name without `autoCompress.`. */
const commands: Readonly<Record<string, Command>> = {
  compress: (context, subject, selected) => eachModel(context, subject, selected, async (model) => {
    await withProgress(t('Reading {0}', basename(model.fsPath)), (signal) => context.inspections.inspect(model.fsPath, { signal })); // a bad model is told before any question
    const request = await new CompressWizard(model, context.inspections, lastSettings(context.workspaceState, model.fsPath)).run();
    if (!request) throw new CancelledError();
    startRun(context, request);
  }),
  compressWithLastSettings: (context, subject, selected) => eachModel(context, subject, selected, async (model) => {
    const last = lastSettings(context.workspaceState, model.fsPath);
    if (last) startRun(context, requestFromLast(model, last));
    else await commands['compress']!(context, model);
  }),
  inspect: (context, subject, selected) => eachModel(context, subject, selected, async (model) => { await vscode.commands.executeCommand('vscode.openWith', model, onnxEditorViewType, { preview: false }); }),
  showText: (context, subject, selected) => eachModel(context, subject, selected, async (model) => {
    await withProgress(t('Reading {0}', basename(model.fsPath)), (signal) => context.inspections.list(model.fsPath, { signal })); // a file that is no model is told, not opened
    await context.texts.show(model);
  }),
  compare: async (context, subject) => {
    const pair = await pairOf(context, subject);
    if (!pair) return;
    const [original, compressed] = pair;
    await vscode.commands.executeCommand('vscode.diff', textUri(original), textUri(compressed), t('{0}: original and compressed', basename(original.fsPath)));
  },
  benchmark: async (context, subject) => {
    const pair = await pairOf(context, subject, true);
    if (!pair) return;
    const [original, compressed, handed] = pair;
    const result = await withProgress(t('Measuring {0}', basename(compressed.fsPath)), (signal) => context.inspections.benchmark(compressed.fsPath, original.fsPath === compressed.fsPath ? undefined : original.fsPath, { signal }));
    const run = handed ?? (await writersOf(compressed.fsPath, context.runs.list()))[0];
    if (run) context.runs.keepBenchmark(run, result);
    const lines = result.batches.map(({ batch, model, ratio }) => t('batch {0}: {1} ms', batch, model.median.toFixed(2)) + (ratio ? ` (${speedText(1 / ratio.value, 2)})` : ''));
    void vscode.window.showInformationMessage(`${basename(compressed.fsPath)}: ${lines.join(', ')}`);
  },
  resume: async (context, subject) => {
    const run = await runOf(context, subject, ({ record }) => isResumable(record), t('No run can be resumed.'));
    if (!run) return;
    context.dashboards.show(run.record.runId);
    await context.runs.resume(run.record.runId);
  },
  stop: async (context, subject) => {
    const run = await runOf(context, subject, ({ record }) => isActive(record.status), t('No run is going on.'));
    if (run) await context.runs.stop(run.record.runId);
  },
  exportPoint: async (context, subject) => {
    const run = await runOf(context, subject, ({ record }) => hasCandidates(record), t('No run has candidates to export.'));
    if (run) await exportCandidate(context, run, isRun(subject) ? subject.episode : undefined);
  },
  openReport: async (context, subject) => {
    const run = await runOf(context, subject, isDone, t('No run is finished yet.'));
    if (run) await openReport(run.record.runDir!, run.record.modelPath);
  },
  openDashboard: async (context, subject) => {
    const run = await runOf(context, subject, () => true, t('No model was compressed here yet.'));
    if (run) context.dashboards.show(run.record.runId);
  },
  openResult: async (context, subject) => {
    const run = await runOf(context, subject, isDone, t('No run is finished yet.'));
    const output = run && await outputOf(context.runs, run);
    if (output) await vscode.commands.executeCommand('vscode.openWith', output, onnxEditorViewType, { preview: false });
  },
  deleteRun: async (context, subject) => {
    const run = await runOf(context, subject, ({ record }) => !isActive(record.status), t('There is no run to delete.'));
    if (run) await deleteRun(context, run);
  },
  refreshRuns: ({ runsView }) => runsView.refresh(),
  toggleHints: () => toggleAnnotations(),
};

/** Registers every command; whatever one throws is told in one message. */
export function registerCommands(context: CommandContext, blocked: string | undefined): vscode.Disposable {
  return vscode.Disposable.from(...Object.entries(commands).map(([name, command]) => vscode.commands.registerCommand(`autoCompress.${name}`, async (given?: Given, others?: unknown) => {
    if (blocked) { void vscode.window.showErrorMessage(blocked); return; }
    try { await command(context, await subjectOf(context, given), Array.isArray(others) ? others.filter(isUri) : []); } catch (error) { if (!(error instanceof CancelledError)) tell(error); }
  })));
}

const tell = (error: unknown) => void vscode.window.showErrorMessage(messageOf(error));

/** Does something with each model that a command is for. */
async function eachModel(context: CommandContext, subject: Subject, selected: readonly vscode.Uri[] | undefined, work: (model: vscode.Uri) => Promise<void>): Promise<void> {
  await inTurn(await modelsOf(context, subject, selected), (model) => work(onDisk(model)), tell);
}

/** Starts a run and shows it. */
function startRun({ runs, dashboards }: CommandContext, request: CompressRequest): void {
  const run = runs.start(request);
  if (opensDashboard()) dashboards.show(run.record.runId);
}

const isDone = ({ record }: Run) => record.status === 'done' && record.out !== undefined && record.runDir !== undefined;
const isUri = (value: unknown): value is vscode.Uri => value instanceof vscode.Uri;
const isRun = (subject: Subject): subject is RunSubject => subject !== undefined && !isUri(subject);

async function subjectOf({ example }: CommandContext, given: Given): Promise<Subject> {
  if (given === 'example') return example.model();
  return given && 'modelPath' in given ? vscode.Uri.file(given.modelPath) : given;
}

/** The models that a command is for: those selected, the one in the editor, or one that is asked for. */
async function modelsOf({ runs, example }: CommandContext, subject: Subject, selected: readonly vscode.Uri[] = []): Promise<readonly vscode.Uri[]> {
  if (isRun(subject)) { const run = runs.get(subject.runId); return run ? [vscode.Uri.file(run.record.modelPath)] : []; }
  const chosen = selected.filter(({ fsPath }) => fsPath.endsWith('.onnx'));
  if (chosen.length > 1) return chosen;
  const model = subject ?? activeModel() ?? await pickModel(example);
  return model ? [model] : [];
}

function activeModel(): vscode.Uri | undefined {
  const input = vscode.window.tabGroups.activeTabGroup.activeTab?.input;
  return input instanceof vscode.TabInputCustom && input.viewType === onnxEditorViewType ? input.uri : undefined;
}

/** Original and compressed model, from either of them or from a run, which then comes with them; twice the same where a model may stand alone. */
async function pairOf(context: CommandContext, subject: Subject, alone = false): Promise<readonly [vscode.Uri, vscode.Uri, Run?] | undefined> {
  if (isRun(subject)) {
    const run = context.runs.get(subject.runId), output = run?.record.out === undefined ? undefined : await outputOf(context.runs, run);
    return run && output && [vscode.Uri.file(run.record.modelPath), output, run];
  }
  const model = subject ?? activeModel() ?? await pickModel(context.example);
  if (!model) return undefined;
  const { fsPath: path } = onDisk(model);
  const pair = await modelPair(path, context.runs.list().filter(isDone).map(({ record }) => record)) ?? (alone ? [path, path] : undefined);
  if (!pair) throw new Error(t('{0} was not compressed here yet: there is nothing to compare it with.', basename(path)));
  return [vscode.Uri.file(pair[0]), vscode.Uri.file(pair[1])];
}

/** The run that is meant: the one handed over, the only one that fits, or one that is asked for. */
async function runOf({ runs }: CommandContext, subject: Subject, fits: (run: Run) => boolean, none: string): Promise<Run | undefined> {
  const isMeant = ({ record }: Run) => !subject || (isRun(subject) ? record.runId === subject.runId : record.modelPath === subject.fsPath);
  const fitting = runs.list().filter((run) => isMeant(run) && fits(run));
  if (fitting.length === 0) throw new Error(none);
  if (fitting.length === 1) return fitting[0];
  const items = fitting.map((run) => ({
    label: modelNameOf(run.record), description: [createdText(run.record), targetText(run.record.target)].filter(Boolean).join(' · '), detail: run.record.outcome ? outcomeText(run.record.outcome) : statusText(run.record.status), run,
  }));
  return (await vscode.window.showQuickPick(items, { placeHolder: t('Which run?') }))?.run;
}

/** Writes the model of one candidate; asks which where none is given. */
async function exportCandidate(context: CommandContext, { record: { runId, runDir, modelPath } }: Run, episode?: number): Promise<void> {
  const run = await context.runs.load(runId);
  const candidates = [...(run?.view.candidates ?? [])].sort((a, b) => b.reward - a.reward);
  if (candidates.length === 0) throw new Error(t('No run has candidates to export.'));
  const percent = (fraction: number) => `${(100 * fraction).toFixed(1)}%`;
  const chosen = episode ?? (await vscode.window.showQuickPick(
    candidates.map((candidate) => ({ label: t('Episode {0}', candidate.episode), description: t('{0} accuracy with {1} of the MACs', percent(candidate.accuracy), percent(candidate.macs)), episode: candidate.episode })), { placeHolder: t('Which network?'), matchOnDescription: true }))?.episode;
  if (chosen === undefined || runDir === undefined) return;
  const target = await vscode.window.showSaveDialog({ defaultUri: vscode.Uri.file(episodePath(modelPath, chosen)), filters: { ONNX: ['onnx'] } });
  if (!target) return;
  await withProgress(t('Writing {0}', basename(target.fsPath)), (signal) => context.inspections.exportPoint(runDir, chosen, target.fsPath, { signal }));
  const open = t('Open');
  if (await vscode.window.showInformationMessage(t('{0} is written.', basename(target.fsPath)), open) === open) await vscode.commands.executeCommand('vscode.openWith', target, onnxEditorViewType);
}

async function deleteRun({ runs, dashboards }: CommandContext, { record }: Run): Promise<void> {
  const { runId, modelPath, target } = record, remove = t('Delete');
  const answer = await vscode.window.showWarningMessage(t('Delete this run of {0} ({1})? Its journal, plan and report go; models that were written stay.', basename(modelPath), [createdText(record), targetText(target)].filter(Boolean).join(', ')), { modal: true }, remove);
  if (answer !== remove) return;
  await runs.remove(runId);
  dashboards.close(runId);
}
