import { basename } from 'node:path';
import * as vscode from 'vscode';
import { InputError } from '../engine/errors.ts';
import { type CompressRequest, formatTarget, parseCompressOptions, parseTarget } from '../engine/protocol.ts';
import type { Inspections } from './inspections.ts';
import { foundIn } from './paths.ts';
import type { RunManager } from './runManager.ts';
import { requestFromSettings } from './settings.ts';
import { targetText } from './texts.ts';

interface InspectInput { readonly model: string }
interface CompressInput { readonly model: string; readonly val: string; readonly target?: string; readonly episodes?: number }

/** Tools by which an assistant in the editor inspects and, when the user agrees, compresses a model. */
export function registerLanguageModelTools(runs: RunManager, inspections: Inspections): vscode.Disposable {
  if (!('lm' in vscode) || typeof vscode.lm.registerTool !== 'function') return new vscode.Disposable(() => undefined); // editors without language models
  return vscode.Disposable.from(
    vscode.lm.registerTool<InspectInput>('auto-compress_inspect', {
      prepareInvocation: ({ input }) => ({ invocationMessage: vscode.l10n.t('Reading {0}', basename(input.model)) }),
      invoke: async ({ input }, token) => {
        const abort = new AbortController(), cancelled = token.onCancellationRequested(() => abort.abort());
        try { return answer(await inspections.inspect(await absolute(input.model), { signal: abort.signal })); } finally { cancelled.dispose(); }
      },
    }),
    vscode.lm.registerTool<CompressInput>('auto-compress_compress', {
      prepareInvocation: async ({ input }) => ({
        invocationMessage: vscode.l10n.t('Compressing {0}', basename(input.model)),
        confirmationMessages: {
          title: vscode.l10n.t('Compress {0}?', basename(input.model)),
          message: vscode.l10n.t('Auto-Compress will search for a smaller network ({0}), judged on {1}, and write it beside the original. This takes minutes; the original stays as it is.', targetText(formatTarget((await requestOf(input)).target)), input.val),
        },
      }),
      invoke: async ({ input }, token) => {
        const { record: { runId } } = runs.start(await requestOf(input));
        const cancelled = token.onCancellationRequested(() => void runs.stop(runId));
        try {
          const { out, before, after, notes, policy } = await runs.finished(runId);
          return answer({ out, policy, before, after, notes });
        } finally { cancelled.dispose(); }
      },
    }),
  );
}

const answer = (value: unknown) => new vscode.LanguageModelToolResult([new vscode.LanguageModelTextPart(JSON.stringify(value))]);

/** The options of the run that is asked for, on top of the settings: the user is asked about what will be done. @throws {InputError} */
async function requestOf({ model, val, target, episodes }: CompressInput): Promise<CompressRequest> {
  const request = { ...requestFromSettings(vscode.Uri.file(await absolute(model)), await absolute(val)), ...(target === undefined ? {} : { target: parseTarget(target) }), ...(episodes === undefined ? {} : { episodes }) };
  parseCompressOptions(request);
  return request;
}

async function absolute(path: string): Promise<string> {
  const found = await foundIn((vscode.workspace.workspaceFolders ?? []).map(({ name, uri }) => ({ name, path: uri.fsPath })), path);
  if (found === undefined) throw new InputError(`"${path}" is a relative path, and no folder is open.`);
  return found;
}
