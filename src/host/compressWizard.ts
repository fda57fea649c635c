import { basename } from 'node:path';
import * as vscode from 'vscode';
import { messageOf } from '../engine/errors.ts';
import { type CompressRequest, type DataPreview, formatTarget, parseTarget } from '../engine/protocol.ts';
import { checkData } from './dataCheck.ts';
import type { Example } from './example.ts';
import { type DataSource, browseForData, findDataSources } from './dataSources.ts';
import type { Inspections } from './inspections.ts';
import { type LastSettings, withLast } from './lastSettings.ts';
import { type Choice, type StepResult, inputStep, pickStep } from './quickInput.ts';
import { numberProblem, offeredMethods, targetForms, targetProblem, targetsFor } from './offers.ts';
import { defaultTarget, requestFromSettings } from './settings.ts';
import { targetText } from './texts.ts';

const totalSteps = 4;
/** The request of the last run on this model, on top of the settings. */
export const requestFromLast = (model: vscode.Uri, last: LastSettings): CompressRequest => withLast(requestFromSettings(model, last.val), last);

/** Asks for a model: the ONNX files of the workspace, the bundled example, or any other file. */
export async function pickModel(example: Example): Promise<vscode.Uri | undefined> {
  const files = await vscode.workspace.findFiles('**/*.onnx', '**/{node_modules,.git,.auto-compress}/**', 500);
  type Item = vscode.QuickPickItem & { readonly choose: () => Thenable<vscode.Uri | undefined> };
  const items: readonly Item[] = [
    ...files.sort((a, b) => a.fsPath.localeCompare(b.fsPath)).map((uri) => ({ label: basename(uri.fsPath), description: vscode.workspace.asRelativePath(uri), choose: () => Promise.resolve(uri) })),
    { label: vscode.l10n.t('$(beaker) Bundled example'), description: vscode.l10n.t('a ResNet-20 with 1,000 images to try things on'), choose: () => example.model() },
    { label: vscode.l10n.t('$(folder-opened) Browse...'), alwaysShow: true, choose: () => vscode.window.showOpenDialog({ filters: { ONNX: ['onnx'] }, canSelectMany: false, openLabel: vscode.l10n.t('Choose') }).then((chosen) => chosen?.[0]) },
  ];
  const picked = await vscode.window.showQuickPick(items, { title: vscode.l10n.t('Auto-Compress: Choose a Model'), placeHolder: vscode.l10n.t('A trained ONNX model'), matchOnDescription: true, ignoreFocusOut: true });
  return picked?.choose();
}

/** One run of the wizard: images -> what was found in them -> target -> start, with a way back at every step. */
export class CompressWizard {
  private readonly model: vscode.Uri;
  private readonly inspections: Inspections;
  private request: CompressRequest;
  private preview: DataPreview | undefined;

  constructor(model: vscode.Uri, inspections: Inspections, last: LastSettings | undefined) {
    this.model = model;
    this.inspections = inspections;
    this.request = last ? requestFromLast(model, last) : { ...requestFromSettings(model, '') };
  }

  /** The options of the run; undefined when the user cancels. */
  async run(): Promise<CompressRequest | undefined> {
    const steps = [() => this.chooseData(), () => this.checkData(), () => this.chooseTarget(), () => this.confirm()];
    for (let step = 0; step < steps.length;) {
      const result = await steps[step]!();
      if (result === 'cancel') return undefined;
      step += result === 'back' ? -1 : 1;
    }
    return this.request;
  }

  private frame(step: number) { return { title: vscode.l10n.t('Auto-Compress: {0}', basename(this.model.fsPath)), step, totalSteps }; }

  private async chooseData(): Promise<StepResult<void>> {
    const toItem = ({ path, description }: DataSource): Choice<string> => ({ label: `$(file-media) ${basename(path)}`, description, detail: vscode.workspace.asRelativePath(path), value: path });
    const sources = findDataSources(this.model).then((found): readonly Choice<string>[] => {
      const last = this.request.val;
      const recent: readonly Choice<string>[] = last ? [{ label: `$(history) ${basename(last)}`, description: vscode.l10n.t('used last'), detail: vscode.workspace.asRelativePath(last), value: last }] : [];
      return [
        ...recent, ...found.filter(({ path }) => path !== last).map(toItem),
        { label: vscode.l10n.t('$(folder) Browse for a folder of images...'), alwaysShow: true, value: 'browse:folder' }, { label: vscode.l10n.t('$(file) Browse for a file (.npz, .npy, .csv, IDX)...'), alwaysShow: true, value: 'browse:file' },
      ];
    });
    const picked = await pickStep(this.frame(1), vscode.l10n.t('Images on which compressed networks are judged'), sources);
    if (typeof picked === 'string') return picked;
    const val = picked.value.startsWith('browse:') ? await browseForData(this.model, picked.value === 'browse:folder' ? 'folder' : 'file') : picked.value;
    if (val === undefined) return this.chooseData();
    this.request = { ...this.request, val, ...(val === this.request.val ? {} : { metric: requestFromSettings(this.model, val).metric }) }; // that other images could not judge by labels says nothing of these
    return { value: undefined };
  }

  private async checkData(): Promise<StepResult<void>> {
    const abort = new AbortController();
    const { val, metric, preprocess, threads } = this.request;
    const checked = checkData((measured) => this.inspections.previewData(this.model.fsPath, val, { metric: measured, preprocess, threads }, { signal: abort.signal }), metric);
    const items = checked.then(({ preview, problem }): readonly Choice<'continue' | 'back'>[] => {
      this.preview = preview;
      if (problem !== undefined) this.request = { ...this.request, metric: preview.metric };
      const label = problem === undefined ? vscode.l10n.t('$(check) Use these images') : vscode.l10n.t('$(check) Judge by agreement with the original');
      return [{ label, description: foundText(preview), detail: problem ?? preprocessingText(preview), value: 'continue' }, { label: vscode.l10n.t('$(arrow-left) Choose other images'), value: 'back' }];
    }, (error: unknown): readonly Choice<'continue' | 'back'>[] => [{ label: vscode.l10n.t("$(error) These images can't be used"), detail: messageOf(error), value: 'back' }]);
    const picked = await pickStep(this.frame(2), vscode.l10n.t('Are these the images to judge by?'), items, vscode.l10n.t('Reading images and finding the preprocessing...'));
    abort.abort();
    if (picked === 'cancel' || picked === 'back') return picked;
    return picked.value === 'back' ? 'back' : { value: undefined };
  }

  private async chooseTarget(): Promise<StepResult<void>> {
    const { method } = this.request, problem = this.problem();
    const choices = targetsFor(method, formatTarget(this.request.target)).map((text): Choice<string> => ({ label: `$(target) ${targetText(text)}`, description: text, value: text }));
    const picked = await pickStep(this.frame(3), problem ?? (this.preview ? foundText(this.preview) : vscode.l10n.t('What must be reached')), [...choices, { label: vscode.l10n.t('$(edit) Another target...'), value: '' }]);
    if (typeof picked === 'string') return picked;
    const text = picked.value === '' ? await inputStep(this.frame(3), vscode.l10n.t('{0} with 0 < R < 1, or several with commas between', targetForms), formatTarget(defaultTarget(this.model)), (typed) => targetProblem(typed, method)) : picked;
    if (text === 'back') return this.chooseTarget();
    if (text === 'cancel') return 'cancel';
    this.request = { ...this.request, target: parseTarget(text.value) };
    return { value: undefined };
  }

  /** Why the chosen method can't reach the chosen target; the step of the target says it. */
  private problem(): string | undefined { return targetProblem(formatTarget(this.request.target), this.request.method); }

  private async confirm(): Promise<StepResult<void>> {
    const { episodes, finetune = 0, target, method = 'channels' } = this.request;
    const picked = await pickStep<'start' | 'method' | 'episodes' | 'finetune'>(this.frame(4), vscode.l10n.t('Ready to start'), [
      { label: vscode.l10n.t('$(play) Start'), detail: [targetText(formatTarget(target)), this.preview && foundText(this.preview)].filter(Boolean).join(', '), value: 'start' },
      ...(offeredMethods.length > 1 ? [{ label: vscode.l10n.t('$(settings) Remove: {0}', methodText(method)), description: vscode.l10n.t('channels make the model faster, weights make the file smaller'), value: 'method' as const }] : []),
      { label: vscode.l10n.t('$(settings) Episodes: {0}', episodes ?? vscode.l10n.t('chosen by time')), description: vscode.l10n.t('candidate networks that the agent tries'), value: 'episodes' },
      { label: vscode.l10n.t('$(settings) Fine-tuning: {0}', finetune === 0 ? vscode.l10n.t('none') : vscode.l10n.t('{0} epochs', finetune)), description: vscode.l10n.t('training after the search'), value: 'finetune' },
    ]);
    if (typeof picked === 'string') return picked;
    if (picked.value === 'start') return this.problem() === undefined ? { value: undefined } : 'back';
    if (picked.value === 'method') {
      const chosen = await pickStep(this.frame(4), vscode.l10n.t('What to remove'), offeredMethods.map((value) => ({ label: methodText(value), value })));
      if (chosen === 'cancel') return 'cancel';
      if (chosen !== 'back') this.request = { ...this.request, method: chosen.value };
      return this.problem() === undefined ? this.confirm() : 'back';
    }
    const option = picked.value, isEpisodes = option === 'episodes';
    const typed = await inputStep(this.frame(4), isEpisodes ? vscode.l10n.t('Number of episodes; 0 lets the time decide') : vscode.l10n.t('Epochs of fine-tuning; 0 leaves it out'), String((isEpisodes ? episodes : finetune) ?? 0), (text) => numberProblem(option, text));
    if (typed === 'cancel') return 'cancel';
    if (typed !== 'back') {
      const number = Number(typed.value);
      this.request = { ...this.request, ...(isEpisodes ? { episodes: number > 0 ? number : undefined } : { finetune: number }) };
    }
    return this.confirm();
  }
}

const methodText = (method: NonNullable<CompressRequest['method']>): string => ({ channels: vscode.l10n.t('whole channels'), weights: vscode.l10n.t('single weights') })[method];

/** `5,000 images, 10 classes, accuracy of the original 92.3%`. */
function foundText({ images, classes, labelled, accuracy, metric }: DataPreview): string {
  const percent = accuracy.toLocaleString(vscode.env.language, { style: 'percent', minimumFractionDigits: 1, maximumFractionDigits: 1 });
  return [
    vscode.l10n.t('{0} images', images.toLocaleString(vscode.env.language)), labelled ? vscode.l10n.t('{0} classes', classes) : vscode.l10n.t('no labels'),
    metric === 'agreement' ? vscode.l10n.t('judged by agreement with the original') : vscode.l10n.t('accuracy of the original {0}', percent),
  ].join(', ');
}
const preprocessingText = ({ preprocessing: found }: DataPreview): string => vscode.l10n.t('Preprocessing found: {0}', found);
