import * as vscode from 'vscode';
import { InputError } from '../engine/errors.ts';
import { type CompressRequest, parseCompressOptions, parseTarget } from '../engine/protocol.ts';
import { absoluteIn } from './paths.ts';
import type { RunManager } from './runManager.ts';
import { requestFromSettings } from './settings.ts';
import { TaskRun } from './taskRun.ts';
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
    return new vscode.Task(task.definition, task.scope ?? vscode.TaskScope.Workspace, task.name, taskType, execution, []); // with no problem matcher: left out, VS Code asks for one at each start
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

/** The terminal of a task. */
class RunTerminal implements vscode.Pseudoterminal {
  private readonly writes = new vscode.EventEmitter<string>();
  private readonly closes = new vscode.EventEmitter<number>();
  readonly onDidWrite = this.writes.event;
  readonly onDidClose = this.closes.event;
  private readonly run: TaskRun;
  private readonly request: () => CompressRequest;

  constructor(runs: RunManager, request: () => CompressRequest) {
    this.run = new TaskRun(runs, { line: (text) => this.writes.fire(`${text}\r\n`), end: (exitStatus) => this.closes.fire(exitStatus) }, { progress: progressText, report: reportText });
    this.request = request;
  }

  open(): void { this.run.open(this.request); }
  close(): void { this.run.close(); }
  handleInput(typed: string): void { this.run.input(typed); }
}
