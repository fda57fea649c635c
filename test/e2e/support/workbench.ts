/** What a person does in the workbench, and where they look. Every wait ends on something visible. */
import { type Browser, type BrowserContext, type Frame, type Locator, type Page, chromium } from 'playwright-core';
import type { WorkbenchPrograms } from '../../../scripts/tools.mjs';
import type { Server } from './server.ts';

/** Generous: a machine may be busy with other work. What is waited for mostly takes a second. */
const timeout = 120_000;
export const launchBrowser = ({ chromium: executablePath }: WorkbenchPrograms): Promise<Browser> => chromium.launch({
  executablePath, headless: true, handleSIGINT: false, handleSIGTERM: false, handleSIGHUP: false, args: ['--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage'],
});

/** Asks again until `question` gives a value (auto-waiting for what playwright's locators can't express). */
export async function until<T>(what: string, question: () => Promise<T | undefined | false>, limit = timeout): Promise<T> {
  for (const end = Date.now() + limit; ;) {
    const answer = await question().catch(() => undefined);
    if (answer !== undefined && answer !== false) return answer;
    if (Date.now() > end) throw new Error(`Waited ${limit / 1000} s in vain: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

export class Workbench {
  readonly page: Page;
  private readonly context: BrowserContext;

  private constructor(page: Page, context: BrowserContext) {
    this.page = page;
    this.context = context;
    page.setDefaultTimeout(timeout);
  }

  static async open(browser: Browser, server: Server): Promise<Workbench> {
    const context = await browser.newContext({ viewport: { width: 1400, height: 900 } });
    // code-server's own service worker would delay the first webview
    await context.addInitScript(`{ const workers = navigator.serviceWorker; if (workers) { const register = workers.register.bind(workers);
      workers.register = (url, options) => String(url).includes('_static/out/browser/serviceWorker.js') ? Promise.reject(new Error('blocked by the test')) : register(url, options); } }`);
    const workbench = new Workbench(await context.newPage(), context);
    await workbench.page.goto(`${server.url}/?folder=${encodeURIComponent(server.workspace)}`, { waitUntil: 'commit' });
    await workbench.explorerReady();
    return workbench;
  }

  async reload(): Promise<void> {
    await this.page.reload({ waitUntil: 'commit' });
    await this.explorerReady();
  }

  close(): Promise<void> { return this.context.close(); }

  file(name: string): Locator { return this.page.locator('.explorer-folders-view .monaco-list-row', { has: this.page.getByText(name, { exact: true }) }); }
  tab(name: string): Locator { return this.page.locator('.tabs-container .tab', { hasText: name }); }
  async closeTab(name: string): Promise<void> {
    await this.tab(name).hover();
    await this.tab(name).locator('.tab-actions .action-label').first().click();
    await this.tab(name).waitFor({ state: 'detached' });
  }

  statusBar(): Locator { return this.page.locator('.statusbar-item', { hasText: '.onnx:' }); }
  toast(text: string): Locator { return this.page.locator('.notifications-toasts .notification-toast', { hasText: text }); }
  /** Waits for a notification, also one whose toast was there for a moment only. The list of them may close again when one comes: it is opened until that one is there. */
  async told(text: string): Promise<void> {
    await until(`"${text}" among the notifications`, async () => {
      await this.command('Notifications: Show Notifications');
      await this.page.locator('.notifications-center .monaco-list-row', { hasText: text }).waitFor({ timeout: 5000 });
      return true;
    });
  }
  quickInput(): Locator { return this.page.locator('.quick-input-widget:not([inert])'); }
  quickItem(text: string): Locator { return this.quickInput().locator('.monaco-list-row', { hasText: text }).first(); }

  private exactItem(text: string): Locator { return this.quickInput().locator('.monaco-list-row', { has: this.page.locator('.label-name').getByText(text, { exact: true }) }).first(); }

  /** Right-click on a file, then on an item of the menu. */
  contextMenu(file: string, label: string): Promise<void> { return this.menuOf(this.file(file), label); }

  /** The same of anything that has a menu. Contributed items appear once the extension host is up, and an open menu never refreshes. */
  async menuOf(target: Locator, label: string): Promise<void> {
    const item = this.page.locator('.monaco-menu .action-item', { hasText: label }).first();
    await until(`"${label}" in the menu`, async () => {
      await target.click({ button: 'right' });
      await this.page.locator('.monaco-menu .action-item').first().waitFor();
      if (await item.isVisible()) return true;
      await this.page.keyboard.press('Escape');
      await this.page.locator('.monaco-menu').first().waitFor({ state: 'detached' });
      return false;
    });
    // a menu ignores the mouse for a moment after it opened
    await until('the menu to close', async () => { await item.click({ timeout: 1000 }).catch(() => undefined); return await this.page.locator('.monaco-menu').count() === 0; });
  }

  /** Runs a command from the palette by its full title. A palette that is closing does not listen: it is opened again. One that stays open has not run anything: it is told again. */
  async command(title: string): Promise<void> {
    await until(`"${title}" in the palette`, async () => {
      await this.page.keyboard.press('F1');
      await this.quickInput().locator('input.input').first().fill(`>${title}`, { timeout: 5000 });
      await this.exactItem(title).waitFor({ timeout: 15_000 });
      return true;
    });
    const closed = async (): Promise<boolean> => await this.quickInput().count() === 0 || await this.quickInput().locator('input.input').first().inputValue({ timeout: 1000 }) !== `>${title}`;
    await until('the palette to close', async () => {
      if (!await closed()) await this.take(this.exactItem(title));
      return until('the palette to close', closed, 2000);
    }, 2 * timeout);
  }

  /** Runs a command that asks, and chooses the first item that shows `text`. A palette may close over an Enter without running anything: it is asked again. */
  async commandAndPick(title: string, text: string): Promise<void> {
    await until(`"${text}" after "${title}"`, async () => {
      await this.command(title);
      await this.quickItem(text).waitFor({ timeout: 20_000 });
      return true;
    });
    await this.pick(text);
  }

  /** Chooses the first item that shows `text`. */
  async pick(text: string): Promise<void> {
    await this.quickItem(text).waitFor();
    await this.take(this.quickItem(text));
  }

  /** Takes an item of a list, once: by Enter where it has the focus (in the list's own box: a webview may have the keyboard), otherwise by a click; a list that fills or fades meanwhile is asked again. */
  private async take(item: Locator): Promise<void> {
    await until('an item of a list', async () => {
      if ((await item.getAttribute('class', { timeout: 5000 }))?.split(' ').includes('focused')) await this.quickInput().locator('input.input').first().press('Enter', { timeout: 5000 });
      else await item.click({ timeout: 5000 });
      return true;
    });
  }

  /** Answers the input box that asks `prompt`. */
  async answer(prompt: string, text: string): Promise<void> {
    await this.quickInput().filter({ hasText: prompt }).locator('input.input').first().fill(text);
    await this.page.keyboard.press('Enter');
  }

  /** Accepts the path that the dialog for a file proposes, once it is the one that is expected. */
  async confirmPath(path: string): Promise<void> {
    await until(`${path} in the dialog`, async () => await this.quickInput().locator('input.input').first().inputValue({ timeout: 5000 }) === path);
    await this.quickInput().getByText('OK', { exact: true }).click();
  }

  /** Opens a file by its path. A list that fills again may lose the Enter: it is asked again. */
  async open(path: string): Promise<void> {
    const name = path.split('/').at(-1)!;
    await until(`${path} in an editor`, async () => {
      await this.page.keyboard.press('Control+p');
      await this.quickInput().locator('input.input').first().fill(path, { timeout: 2000 });
      await this.quickItem(name).waitFor({ timeout: 3000 });
      await this.take(this.quickItem(name));
      await this.page.locator('.tabs-container .tab.active', { hasText: name }).waitFor({ timeout: 5000 });
      return true;
    });
  }

  /** The webview whose page shows `selector`. */
  webview(selector: string): Promise<Frame> {
    return until(`a webview with ${selector}`, async () => {
      for (const frame of this.page.frames()) if (frame.url().includes('/fake.html') && await frame.locator(selector).first().isVisible().catch(() => false)) return frame;
      return undefined;
    });
  }

  /** The tree of runs, unfolded. */
  async runRows(): Promise<Locator> {
    const pane = this.runsPane(), header = pane.locator('.pane-header');
    if (await header.getAttribute('aria-expanded') !== 'true') await header.click();
    return pane.locator('.monaco-list-row');
  }
  runsPane(): Locator { return this.page.locator('.pane', { has: this.page.locator('.pane-header', { hasText: 'Compression Runs' }) }); }

  async closeNotifications(): Promise<void> { await this.command('Notifications: Clear All Notifications'); }

  async useTheme(title: string): Promise<void> {
    await this.command('Preferences: Color Theme');
    await this.quickInput().getByPlaceholder('Theme').fill(title);
    await this.exactItem(title).click();
    await this.page.locator('.quick-input-widget').waitFor({ state: 'hidden' }); // it fades
  }

  private async explorerReady(): Promise<void> { await this.page.waitForSelector('.explorer-folders-view .monaco-list-row', { timeout: 180_000 }); }
}
