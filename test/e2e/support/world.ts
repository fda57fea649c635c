/** The workspace of the stories, and the packaged extension in a workbench around it; or the reason why there is none here. */
import { execFileSync } from 'node:child_process';
import { copyFileSync, mkdirSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Browser, Frame, Locator } from 'playwright-core';
import { inject } from 'vitest';
import { packaged } from '../../support/packaged.ts';
import { Server } from './server.ts';
import { Workbench, launchBrowser, until } from './workbench.ts';

/** Screenshots; kept outside the sources. */
export const artifacts = process.env['AUTO_COMPRESS_E2E_ARTIFACTS'] ?? 'dist/e2e';
const themes = {
  light: { title: 'Light Modern', bodyClass: 'vscode-light', workbenchClass: 'vs' }, dark: { title: 'Dark Modern', bodyClass: 'vscode-dark', workbenchClass: 'vs-dark' },
  'high contrast': { title: 'Dark High Contrast', bodyClass: 'vscode-high-contrast', workbenchClass: 'hc-black' },
} as const;
type ThemeName = keyof typeof themes;

export interface World {
  /** Episodes of a run: enough to see something move. */
  readonly episodes: number;
  /** Themes that pictures are made in. */
  readonly themes: readonly ThemeName[];
  /** Switches the workbench to a theme; resolves once its colours, and those of the webview, followed. */
  useTheme(name: ThemeName, webview?: Frame): Promise<void>;
  /** Run folders of resnet20.onnx, newest first. */
  runDirs(): readonly string[];
  readonly server: Server; readonly workbench: Workbench;
  /** Keeps a picture of the whole window in the folder of artifacts. */ screenshot(name: string): Promise<void>;
  /** A picture and the extension host's log. */ explain(name: string): Promise<void>;
  end(): Promise<void>;
}

const programs = inject('programs');
/** Why the end-to-end tests can't run on this machine; undefined where they can. */
export const whyNot = 'whyNot' in programs ? programs.whyNot : undefined;

/** Few images and episodes, so that a run takes seconds; for pictures of a run as users see it (AUTO_COMPRESS_LONG_RUN=1), all of the bundled images and more episodes. */
const longRun = process.env['AUTO_COMPRESS_LONG_RUN'] === '1', imagesOfAClass = longRun ? 100 : 20, episodes = longRun ? 100 : 12;

/** A workspace with a trained model, its images, its Python source and a file that is no model. */
function fillWorkspace(folder: string): void {
  copyFileSync('examples/resnet20.onnx', join(folder, 'resnet20.onnx'));
  for (const name of readdirSync('examples/cifar10/validation')) {
    mkdirSync(join(folder, 'images', name), { recursive: true });
    for (const image of readdirSync(join('examples/cifar10/validation', name)).slice(0, imagesOfAClass)) copyFileSync(join('examples/cifar10/validation', name, image), join(folder, 'images', name, image));
  }
  copyFileSync('test/e2e/fixtures/resnet.py', join(folder, 'resnet.py'));
  writeFileSync(join(folder, 'broken.onnx'), 'this is not a model');
  mkdirSync(join(folder, '.vscode'));
  writeFileSync(join(folder, '.vscode/tasks.json'), JSON.stringify({ version: '2.0.0', tasks: [{ type: 'auto-compress', label: 'compress resnet20', model: '${workspaceFolder}/resnet20.onnx', val: 'images', target: 'macs=0.6', episodes: 1, finetune: 2, out: 'task.onnx' }] }));
}

/** @param options.compressed whether resnet20.onnx was already compressed, by the command line; options.trusted: false opens a folder that nobody trusted yet; options.fill adds files */
export async function createWorld({ compressed = false, trusted = true, fill }: { readonly compressed?: boolean; readonly trusted?: boolean; readonly fill?: (workspace: string) => void } = {}): Promise<World> {
  if ('whyNot' in programs) throw new Error(programs.whyNot);
  const server = await Server.start(programs, packaged(), (folder) => {
    fillWorkspace(folder);
    fill?.(folder);
    if (compressed) execFileSync(process.execPath, ['dist/cli.js', 'compress', join(folder, 'resnet20.onnx'), '--val', join(folder, 'images'), '--episodes', '2'], { stdio: ['ignore', 'ignore', 'inherit'] });
  }, trusted);
  let browser: Browser | undefined;
  try {
    browser = await launchBrowser(programs);
    const workbench = await Workbench.open(browser, server);
    const opened = browser;
    const screenshot = async (name: string) => { await workbench.page.screenshot({ path: join(artifacts, `${name.replace(/[^\w]+/g, '-').slice(0, 80)}.png`) }); };
    const explain = async (name: string) => { await screenshot(`failed ${name}`); console.error(server.extensionHostLog().split('\n').slice(-60).join('\n')); };
    const runs = join(server.workspace, '.auto-compress/resnet20');
    const runDirs = () => readdirSync(runs).map((name) => join(runs, name)).filter((path) => statSync(path).isDirectory()).sort((a, b) => statSync(b).birthtimeMs - statSync(a).birthtimeMs);
    const hasClass = async (element: Locator, name: string) => (await element.getAttribute('class'))?.split(' ').includes(name);
    const useTheme = async (name: ThemeName, webview?: Frame) => {
      await workbench.useTheme(themes[name].title);
      await until(`${name} colours`, async () => await hasClass(workbench.page.locator('.monaco-workbench'), themes[name].workbenchClass) && (!webview || await hasClass(webview.locator('body'), themes[name].bodyClass)));
    };
    return { episodes, themes: Object.keys(themes) as ThemeName[], useTheme, runDirs, server, workbench, screenshot, explain, end: async () => { await opened.close(); await server.stop(); } };
  } catch (error) {
    await browser?.close();
    await server.stop();
    throw error;
  }
}
