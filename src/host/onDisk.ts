/** Whether what an editor or a menu hands over can be read at all. Pure: no VS Code. */
import { basename } from 'node:path';
import { t } from '../webview/client/l10n.ts';

/** The model itself. @throws where it is a version in source control or the like, whose path is that of the file in the working copy */
export function onDisk<Model extends { readonly scheme: string; readonly fsPath: string }>(model: Model): Model {
  if (model.scheme !== 'file') throw new Error(t('This version of {0} is not a file on disk: save it as one to see what it holds.', basename(model.fsPath)));
  return model;
}
