import * as vscode from 'vscode';
import { InputError, messageOf } from '../engine/errors.ts';
import { type CompressRequest, type RunEvent, parseCompressOptions, parseTarget } from '../engine/protocol.ts';
import { absoluteIn } from './paths.ts';
import { type Run, type RunManager, isActive } from './runManager.ts';
import { requestFromSettings } from './settings.ts';
import { progressText, reportText } from './texts.ts';

export const taskType = 'auto-compress';
interface Definition extends vscode.TaskDefinition { readonly model?: string; readonly val?: string; readonly target?: string; readonly episodes?: number; readonly seed?: number; readonly out?: string; readonly finetune?: number }

/** Runs of tasks.json: `{ "type": "auto-compress", "model": "model.onnx", "val": "images" }`. */
export class CompressTasks implements vscode.TaskProvider {
  private readonly runs: RunManager;
  constructor(runs: RunManager) { this.runs = runs; }

  provideTasks(): vscode.Task[] { return []; }

  resolveTask(task: vscode.Task): vscode.Task | undefined {
    const folder = typeof task.scope === 'object' ? task.scope : vscode.workspace.workspaceFolders?.[0];
    if (!folder) return undefined;
    // the definition that a run gets has its variables, such as ${workspaceFolder}, filled in
    const execution = new vscode.CustomExecution((resolved) => Promise.resolve(new RunTerminal(this.runs, () => requestOf(resolved as Definition, folder.uri))));
    return new vscode.Task(task.definition, task.scope ?? vscode.TaskScope.Workspace, task.name, taskType, execution);
  }
}

/** The options that a task writes down, on top of the settings. @throws {InputError} */
function requestOf({ model = '', val = '', target, episodes, seed, out, finetune }: Definition, folder: vscode.Uri): CompressRequest {
  for (const [name, value] of Object.entries({ model, val })) if (!value) throw new InputError(vscode.l10n.t('The task has no "{0}".', name));
  const absolute = (path: string) => absoluteIn(folder.fsPath, path);
  const request: CompressRequest = {
    ...requestFromSettings(vscode.Uri.file(absolute(model)), absolute(val)), ...(target ? { target: parseTarget(target) } : {}), ...(out ? { out: absolute(out) } : {}),
    ...(episodes === undefined ? {} : { episodes }), ...(seed === undefined ? {} : { seed }), ...(finetune === undefined ? {} : { finetune }),
  };
  parseCompressOptions(request);
  return request;
}

/** The terminal of a task: its run in lines of text; closing it stops the run. */
class RunTerminal implements vscode.Pseudoterminal {
  private readonly writes = new vscode.EventEmitter<string>();
  private readonly closes = new vscode.EventEmitter<number>();
  readonly onDidWrite = this.writes.event;
  readonly onDidClose = this.closes.event;
  private readonly runs: RunManager;
  private readonly request: () => CompressRequest;
  private run: Run | undefined;

  constructor(runs: RunManager, request: () => CompressRequest) {
    this.runs = runs;
    this.request = request;
  }

  open(): void {
    try {
      const run = this.runs.start(this.request());
      this.run = run;
      this.runs.on('event', this.onEvent);
      void this.runs.finished(run.record.runId).then((report) => this.end(0, `${reportText(report)}\r\n${report.out}`), (error: unknown) => this.end(1, messageOf(error)));
    } catch (error) {
      this.end(2, messageOf(error));
    }
  }

  close(): void { if (this.run && isActive(this.run.record.status)) void this.runs.stop(this.run.record.runId); }

  private readonly onEvent = (run: Run, event: RunEvent): void => {
    if (run !== this.run) return;
    if (event.type === 'episode' || event.type === 'stage' || event.type === 'training') this.line(progressText(run.view));
    if (event.type === 'warning') this.line(event.message);
  };

  private end(exitStatus: number, text: string): void {
    this.runs.off('event', this.onEvent);
    this.line(text);
    this.closes.fire(exitStatus);
  }

  private line(text: string): void { this.writes.fire(`${text}\r\n`); }
}
