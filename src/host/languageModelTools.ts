import { basename, isAbsolute, join } from 'node:path';
import * as vscode from 'vscode';
import { InputError } from '../engine/errors.ts';
import { parseCompressOptions, parseTarget } from '../engine/protocol.ts';
import type { AutoCompressApi } from './api.ts';
import { requestFromSettings } from './settings.ts';
import { targetText } from './texts.ts';

interface InspectInput { readonly model: string }
interface CompressInput { readonly model: string; readonly val: string; readonly target?: string; readonly episodes?: number }

/** Tools by which an assistant in the editor inspects and, when the user agrees, compresses a model. */
export function registerLanguageModelTools(api: AutoCompressApi, stop: (modelPath: string) => void): vscode.Disposable {
  if (!('lm' in vscode) || typeof vscode.lm.registerTool !== 'function') return new vscode.Disposable(() => undefined); // editors without language models
  return vscode.Disposable.from(
    vscode.lm.registerTool<InspectInput>('auto-compress_inspect', {
      prepareInvocation: ({ input }) => ({ invocationMessage: vscode.l10n.t('Reading {0}', basename(input.model)) }),
      invoke: async ({ input }) => answer(await api.inspect(absolute(input.model))),
    }),
    vscode.lm.registerTool<CompressInput>('auto-compress_compress', {
      prepareInvocation: ({ input }) => ({
        invocationMessage: vscode.l10n.t('Compressing {0}', basename(input.model)),
        confirmationMessages: {
          title: vscode.l10n.t('Compress {0}?', basename(input.model)),
          message: vscode.l10n.t('Auto-Compress will search for a smaller network ({0}), judged on {1}, and write it beside the original. This takes minutes; the original stays as it is.', targetText(input.target ?? 'macs=0.5'), input.val),
        },
      }),
      invoke: async ({ input }, token) => {
        const model = absolute(input.model);
        const request = {
          ...requestFromSettings(vscode.Uri.file(model), absolute(input.val)), ...(input.target === undefined ? {} : { target: parseTarget(input.target) }), ...(input.episodes === undefined ? {} : { episodes: input.episodes }),
        };
        parseCompressOptions(request);
        const cancelled = token.onCancellationRequested(() => stop(model));
        try {
          const { out, before, after, notes, policy } = await api.compress(request);
          return answer({ out, policy, before, after, notes });
        } finally { cancelled.dispose(); }
      },
    }),
  );
}

const answer = (value: unknown) => new vscode.LanguageModelToolResult([new vscode.LanguageModelTextPart(JSON.stringify(value))]);

function absolute(path: string): string {
  if (isAbsolute(path)) return path;
  const folder = vscode.workspace.workspaceFolders?.[0];
  if (!folder) throw new InputError(`"${path}" is a relative path, and no folder is open.`);
  return join(folder.uri.fsPath, path);
}
