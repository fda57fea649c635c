import * as vscode from 'vscode';

/** What a step of a wizard ends with: a value, one step back, or the end of the whole. */
export type StepResult<T> = { readonly value: T } | 'back' | 'cancel';
export interface StepFrame { readonly title: string; readonly step: number; readonly totalSteps: number }
export interface Choice<T> extends vscode.QuickPickItem { readonly value: T }

/** A list to choose from; items that arrive later are given as a promise, with something to read meanwhile. Rejects where they can't be had. */
export function pickStep<T>(frame: StepFrame, placeholder: string, items: readonly Choice<T>[] | Promise<readonly Choice<T>[]>, waiting = placeholder): Promise<StepResult<T>> {
  return new Promise((resolve, reject) => {
    const input = vscode.window.createQuickPick<Choice<T>>();
    Object.assign(input, { ...frame, placeholder, ignoreFocusOut: true, matchOnDescription: true, buttons: frame.step > 1 ? [vscode.QuickInputButtons.Back] : [] });
    let result: StepResult<T> = 'cancel';
    const finish = (value: StepResult<T>) => { result = value; input.hide(); };
    input.onDidTriggerButton(() => finish('back'));
    input.onDidAccept(() => { const [item] = input.selectedItems; if (item && !input.busy) finish({ value: item.value }); });
    input.onDidHide(() => { input.dispose(); resolve(result); });
    if (items instanceof Promise) {
      Object.assign(input, { busy: true, placeholder: waiting });
      void items.then((list) => { Object.assign(input, { busy: false, placeholder, items: list }); }, (error: Error) => { reject(error); input.hide(); });
    } else input.items = items;
    input.show();
  });
}

/** A line of text, checked while it is typed. */
export function inputStep(frame: StepFrame, prompt: string, value: string, problemOf: (text: string) => string | undefined): Promise<StepResult<string>> {
  return new Promise((resolve) => {
    const input = vscode.window.createInputBox();
    Object.assign(input, { ...frame, prompt, value, ignoreFocusOut: true, buttons: [vscode.QuickInputButtons.Back] });
    let result: StepResult<string> = 'cancel';
    const finish = (ended: StepResult<string>) => { result = ended; input.hide(); };
    input.onDidTriggerButton(() => finish('back'));
    input.onDidChangeValue((text) => { input.validationMessage = problemOf(text); });
    input.onDidAccept(() => { const problem = problemOf(input.value); input.validationMessage = problem; if (!problem) finish({ value: input.value }); });
    input.onDidHide(() => { input.dispose(); resolve(result); });
    input.show();
  });
}
