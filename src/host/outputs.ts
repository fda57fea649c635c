import { basename } from 'node:path';
import * as vscode from 'vscode';
import type { Run, RunManager } from './runManager.ts';
import { targetText } from './texts.ts';
import { writersOf } from './writers.ts';

const t = vscode.l10n.t;

/** The model that a finished run wrote; undefined where it is no longer there, which is told. */
export async function outputOf(runs: RunManager, run: Run): Promise<vscode.Uri | undefined> {
  const out = run.record.out!, writers = await writersOf(out, runs.list());
  if (writers.includes(run)) return vscode.Uri.file(out);
  void tellLost(run, writers[0]);
  return undefined;
}

/** Says what stands at the run's place instead, and offers what can be had again. */
async function tellLost({ record: { runId, out } }: Run, writer: Run | undefined): Promise<void> {
  const name = basename(out!), exportPoint = t('Export Point...');
  const now = writer ? t('{0} is now the model of another run of {1} ({2}), which wrote it over the one of this run.', name, new Date(writer.record.createdMs).toLocaleString(vscode.env.language), targetText(writer.record.target))
    : t('{0} is gone, or no longer what this run wrote.', name);
  const answer = await vscode.window.showWarningMessage(`${now} ${t("A point of this run's trade-off can be written again.")}`, exportPoint);
  if (answer === exportPoint) await vscode.commands.executeCommand('autoCompress.exportPoint', { runId });
}
