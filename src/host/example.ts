import { cp, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import * as vscode from 'vscode';

/** The bundled model with its images, copied once to a place of the user's: runs write beside their model. */
export class Example {
  private readonly source: string;
  private readonly folder: string;
  private copied: Promise<void> | undefined;

  constructor(extensionUri: vscode.Uri, storageUri: vscode.Uri) {
    this.source = vscode.Uri.joinPath(extensionUri, 'examples').fsPath;
    this.folder = vscode.Uri.joinPath(storageUri, 'example').fsPath;
  }

  /** The example's model, there to be used. */
  async model(): Promise<vscode.Uri> {
    this.copied ??= this.copy();
    try { await this.copied; } catch (error) { this.copied = undefined; throw error; }
    return vscode.Uri.file(join(this.folder, 'resnet20.onnx'));
  }

  private async copy(): Promise<void> {
    if (await stat(this.folder).catch(() => undefined)) return;
    const unfinished = `${this.folder}.${process.pid}`;
    await cp(this.source, unfinished, { recursive: true });
    await rename(unfinished, this.folder).catch(async (error: unknown) => {
      await rm(unfinished, { recursive: true, force: true });
      if (!await stat(this.folder).catch(() => undefined)) throw error; // another window was quicker
    });
  }
}
