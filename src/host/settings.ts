import { dirname } from 'node:path';
import * as vscode from 'vscode';
import { type CompressRequest, type Target, parseTarget } from '../engine/protocol.ts';
import { absoluteIn, jsonOrAbsoluteIn } from './paths.ts';

const section = (scope?: vscode.Uri) => vscode.workspace.getConfiguration('autoCompress', scope);

/** The target of the settings. @throws {InputError} where the setting can't be read */
export const defaultTarget = (scope?: vscode.Uri): Target => parseTarget(section(scope).get('target', 'macs=0.5'));
export const annotationsEnabled = () => section().get('annotations.enabled', true);
export const pythonAnnotationsEnabled = () => annotationsEnabled() && section().get('annotations.python', true);
export const opensDashboard = () => section().get('openDashboard', true);

/** Where the workspace has its own value, that one is changed: the user's would have no effect. */
export async function toggleAnnotations(): Promise<void> {
  const { workspaceValue } = section().inspect('annotations.enabled') ?? {};
  await section().update('annotations.enabled', !annotationsEnabled(), workspaceValue === undefined ? vscode.ConfigurationTarget.Global : vscode.ConfigurationTarget.Workspace);
}

/** The folder that relative paths of the settings start from: the model's workspace folder, or its own where it lies outside. */
const folderOf = (model: vscode.Uri): string => vscode.workspace.getWorkspaceFolder(model)?.uri.fsPath ?? dirname(model.fsPath);

/** The options of a run from the settings; what a wizard, a task or a tool says goes on top. */
export function requestFromSettings(model: vscode.Uri, val: string): CompressRequest {
  const settings = section(model);
  const folder = folderOf(model), text = (name: string) => settings.get<string>(name, '').trim();
  const train = absoluteIn(folder, text('train')), calibration = absoluteIn(folder, text('calibration')), preprocess = jsonOrAbsoluteIn(folder, text('preprocess'));
  const metric = settings.get<'auto' | NonNullable<CompressRequest['metric']>>('metric', 'auto');
  const episodes = settings.get('episodes', 0), refine = settings.get<number | null>('refine', null);
  return {
    model: model.fsPath, val, target: defaultTarget(model),
    method: settings.get<NonNullable<CompressRequest['method']>>('method', 'channels'), agent: settings.get<'warm' | 'paper'>('agent', 'warm'),
    seed: settings.get('seed', 0), finetune: settings.get('finetune', 0), roundTo: settings.get('roundTo', 0), minPreserve: settings.get('minPreserve', 0.1),
    threads: settings.get('threads', 0), baseline: settings.get<'random'[]>('baselines', []),
    ...(metric === 'auto' ? {} : { metric }), ...(episodes > 0 ? { episodes } : {}), ...(refine === null ? {} : { refine }),
    ...(train ? { train } : {}), ...(calibration ? { calibration } : {}), ...(preprocess ? { preprocess } : {}),
  };
}
