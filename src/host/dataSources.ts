import { basename, dirname, join } from 'node:path';
import * as vscode from 'vscode';
import { ignoredFolders, imageExtensions, imageFolders } from './imageFolders.ts';

/** Files that end in one of these, in small or capital letters. */
const ending = (extensions: readonly string[]) => `**/*.{${extensions.flatMap((extension) => [extension, extension.toUpperCase()]).join(',')}}`;
const imagePattern = ending(imageExtensions), filePattern = ending(['npz', 'npy', 'csv']), idxPattern = '**/*idx3-ubyte*';
const ignored = `**/{${ignoredFolders.join(',')}}/**`;

/** A place that may hold the images of a run. */
export interface DataSource { readonly path: string; readonly description: string }

/** Folders and files of the workspace, or beside a model that lies elsewhere, that look like images for it, the likely ones first. */
export async function findDataSources(model: vscode.Uri): Promise<readonly DataSource[]> {
  const isInside = vscode.workspace.getWorkspaceFolder(model) !== undefined, beside = vscode.Uri.joinPath(model, '..');
  const find = (pattern: string, most: number) => vscode.workspace.findFiles(isInside ? pattern : new vscode.RelativePattern(beside, pattern), ignored, most);
  const [images, files, idx] = await Promise.all([find(imagePattern, 2000), find(filePattern, 100), find(idxPattern, 20)]);
  const roots = isInside ? vscode.workspace.workspaceFolders!.map(({ uri }) => uri) : [beside];
  const folders = (await imageFolders(images.map(({ fsPath }) => fsPath), roots.map(({ fsPath }) => fsPath))).map(({ path, classes, files: count = 0 }) =>
    ({ path, description: classes === undefined ? vscode.l10n.t('folder with {0} files, no labels', count) : vscode.l10n.t('{0} class folders', classes) }));
  const found = [...folders, ...files.map(({ fsPath }) => ({ path: fsPath, description: vscode.l10n.t('data file') })), ...idx.map(({ fsPath }) => ({ path: fsPath, description: vscode.l10n.t('IDX file') }))];
  const rank = ({ path }: DataSource) => (/val|test|eval/i.test(basename(path)) ? 0 : 2) + (dirname(path) === dirname(model.fsPath) ? 0 : 1);
  return found.sort((a, b) => rank(a) - rank(b) || a.path.localeCompare(b.path));
}

/** Lets the user point at a folder or a file that is not in the workspace. */
export async function browseForData(model: vscode.Uri, kind: 'folder' | 'file'): Promise<string | undefined> {
  const picked = await vscode.window.showOpenDialog({
    title: kind === 'folder' ? vscode.l10n.t('Folder of images') : vscode.l10n.t('File of images'), defaultUri: vscode.Uri.file(join(model.fsPath, '..')),
    canSelectFolders: kind === 'folder', canSelectFiles: kind === 'file', canSelectMany: false, openLabel: vscode.l10n.t('Use'),
    ...(kind === 'file' ? { filters: { [vscode.l10n.t('Images of a run')]: ['npz', 'npy', 'csv', 'gz', 'idx3-ubyte'], [vscode.l10n.t('All files')]: ['*'] } } : {}),
  });
  return picked?.[0]?.fsPath;
}
