/** What a dashboard keeps while runs go on, tabs come and go, and files are written over. It begins with a run of the command line. */
import { join } from 'node:path';
import type { Frame, Locator } from 'playwright-core';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { AutoCompressApi } from '../../src/host/api.ts';
import { seriousViolations } from './support/accessibility.ts';
import { until } from './support/workbench.ts';
import { type World, createWorld, whyNot } from './support/world.ts';

describe.skipIf(whyNot)('the dashboard', () => {
  let world: World;
  beforeAll(async () => { world = await createWorld({ compressed: true }); });
  afterAll(async () => { await world?.end(); });
  beforeEach(({ onTestFailed, task }) => { onTestFailed(() => world.explain(task.name)); });

  const at = (name: string) => join(world.server.workspace, name);
  const runs = () => world.server.driver.run((vscode) => vscode.extensions.getExtension<AutoCompressApi>('auto-compress.auto-compress')!.exports.runs());
  const command = (name: string, runId: string) => world.server.driver.run((vscode, [id, argument]) => vscode.commands.executeCommand<undefined>(`autoCompress.${id}`, { runId: argument }), [name, runId] as const);
  const oldest = async () => (await until('a run', async () => (await runs()).at(-1))).runId;
  /** Starts a run without waiting for its end. */
  const start = (out: string, episodes: number) => world.server.driver.run((vscode, request) => {
    void vscode.extensions.getExtension<AutoCompressApi>('auto-compress.auto-compress')!.exports.compress({ ...request, target: { metric: 'macs', value: 0.6 } }).then(undefined, () => undefined);
  }, { model: at('resnet20.onnx'), val: at('images'), out: at(out), episodes, refine: 0 });
  const shown = async (status = ''): Promise<Frame> => world.workbench.webview(`#status${status}`);
  /** Puts a source file before the dashboard. */
  const hide = async () => {
    await world.server.driver.run((vscode, path) => vscode.window.showTextDocument(vscode.Uri.file(path), { preview: false }).then(() => undefined), at('resnet.py'));
    await world.workbench.page.locator('.monaco-editor', { hasText: 'BasicBlock' }).waitFor();
  };
  /** Without the palette: it would take the focus from the dashboard, and what is told meanwhile with it. */
  const clearNotifications = () => world.server.driver.run((vscode) => vscode.commands.executeCommand<undefined>('notifications.clearAll'));
  const tabs = () => world.workbench.tab('Compress resnet20');

  it('shows of a run of the command line the layers that are known: those of the written model', async () => {
    await until('the dashboard', async () => { await command('openDashboard', await oldest()); return true; });
    const dashboard = await shown('[data-status="done"]');
    expect(await dashboard.locator('#layers-of').textContent()).toBe('Channels of the written model');
    expect(await dashboard.locator('#points button', { hasText: 'Write...' }).count()).toBeGreaterThan(0);
    expect(await dashboard.locator('#points button', { hasText: 'Show' }).count()).toBe(0);
    expect(await dashboard.locator('#layers [tabindex]').count()).toBe(0); // the list is one stop
    for (const name of world.themes) {
      await world.useTheme(name, dashboard);
      await world.screenshot(`dashboard of the command line ${name}`);
      expect(await seriousViolations(dashboard), name).toEqual([]);
    }
    await world.useTheme('light', dashboard);
  });

  it('keeps measured times and the chosen axis when it is hidden', async () => {
    let dashboard = await shown();
    await dashboard.locator('vscode-button[data-action="benchmark"]').click();
    const times = () => dashboard.locator('#benchmark tbody').textContent({ timeout: 5000 });
    await dashboard.locator('#benchmark tbody tr').first().waitFor();
    const measured = await times();
    await dashboard.locator('vscode-radio[value="params"]').click();
    await hide();
    await tabs().click();
    dashboard = await shown();
    await until('the times', async () => await times() === measured);
    await until('the axis', async () => await dashboard.locator('#points thead th').nth(1).textContent() === 'Parameters');
    await clearNotifications();
  });

  it('comes back once after a reload that found it in the background', async () => {
    await hide();
    const loaded = world.workbench.page.waitForEvent('domcontentloaded');
    // by its command, which stores what is open before it reloads; its answer does not arrive
    void world.server.driver.run((vscode) => vscode.commands.executeCommand<undefined>('workbench.action.reloadWindow')).catch(() => undefined);
    await loaded;
    await world.workbench.file('resnet.py').waitFor();
    await tabs().waitFor();
    await until('another dashboard', async () => { await command('openDashboard', await oldest()); return true; });
    const summary = await (await shown()).locator('#summary').textContent();
    expect(await tabs().count()).toBe(2); // VS Code brings the first one back when it is looked at
    await tabs().first().click();
    await until('one dashboard', async () => await tabs().count() === 1);
    const dashboard = await shown();
    await until('the summary', async () => await dashboard.locator('#summary').textContent() === summary);
  });

  it('takes a slow click, and stays where it was zoomed to, while a run goes on', async () => {
    const { page } = world.workbench;
    await start('other.onnx', 5000);
    const { runId } = await until('the run', async () => (await runs()).find(({ status }) => status === 'running'));
    await command('openDashboard', runId);
    const dashboard = await shown('[data-status="running"]');
    const episode = async () => Number(/Episode (\d+) of/.exec(await dashboard.locator('#progress-text').textContent() ?? '')?.[1] ?? 0);
    const episodesLater = async (more: number) => { const before = await episode(); await until(`${more} episodes`, async () => await episode() >= before + more); };
    const place = async (element: Locator) => { await element.scrollIntoViewIfNeeded(); return (await element.boundingBox())!; };
    await until('some episodes', async () => await episode() >= 6);
    await world.server.driver.run((vscode) => vscode.commands.executeCommand<undefined>('notifications.hideToasts')); // the run's own would cover the table

    const button = dashboard.getByLabel('Show the layers of uniform');
    await until('a slow click', async () => { // the row may move under the pointer once or twice
      const { x, y, width, height } = await place(button);
      await page.mouse.move(x + width / 2, y + height / 2);
      await page.mouse.down();
      await episodesLater(1);
      await page.mouse.up();
      return await button.getAttribute('aria-pressed') === 'true';
    }, 60_000);
    await episodesLater(1);
    expect(await dashboard.evaluate<boolean>('document.activeElement?.ariaLabel === "Show the layers of uniform"'), 'it keeps the focus').toBe(true);

    const { x, y, width, height } = await place(dashboard.locator('#episodes-card .u-over'));
    const middle = y + height / 2;
    await page.mouse.move(x + 0.6 * width, middle);
    await page.mouse.down();
    await page.mouse.move(x + 0.9 * width, middle, { steps: 5 });
    await page.mouse.up();
    const first = async () => {
      await page.mouse.move(x + 1, middle);
      await page.mouse.move(x + 2, middle);
      return Number(await dashboard.locator('#episodes-card .u-legend .u-value').first().textContent());
    };
    const zoomedTo = await until('the zoom', async () => { const value = await first(); return value > 1 && value; });
    await episodesLater(2);
    expect(await first()).toBe(zoomedTo);
    await world.screenshot('dashboard zoomed');
    await page.mouse.dblclick(x + 10, middle);
    await until('all episodes', async () => await first() < zoomedTo);
    await command('stop', runId);
    await dashboard.locator('#status[data-status="stopped"]').waitFor();
    await clearNotifications();
  });

  it('shows the layers of any candidate, also by the keyboard', async () => {
    const dashboard = await shown('[data-status="stopped"]'), summary = dashboard.locator('summary', { hasText: 'Episodes as a table' });
    await summary.click();
    const first = dashboard.locator('#episodes').getByLabel('Show the layers of 1', { exact: true });
    await first.focus();
    await world.workbench.page.keyboard.press('Enter');
    await until('the layers of the first candidate', async () => await first.getAttribute('aria-pressed') === 'true');
    await dashboard.getByText('Channels of episode 1', { exact: true }).waitFor();
    await dashboard.locator('#episodes-card').scrollIntoViewIfNeeded();
    for (const name of world.themes) { await world.useTheme(name, dashboard); await world.screenshot(`episodes as a table ${name}`); }
    await world.useTheme('light', dashboard);
    expect(await seriousViolations(dashboard)).toEqual([]);
    await summary.click();
  });

  it("does not take another run's file for the one that was written over", async () => {
    const { workbench } = world;
    await start('resnet20.compressed.onnx', 2);
    await workbench.toast('resnet20.onnx is compressed').waitFor({ timeout: 400_000 });
    await clearNotifications();
    const first = await oldest();
    const told = () => workbench.toast('resnet20.compressed.onnx is now the model of another run').first();
    for (const name of ['openResult', 'compare', 'benchmark']) {
      // messages that come fast one after another are not shown: it is asked again
      await until(`an answer to ${name}`, async () => { await command(name, first); await told().waitFor({ timeout: 5000 }); return true; });
      expect(await told().textContent()).toContain('1.7x fewer MACs');
      if (name !== 'benchmark') await clearNotifications();
    }
    expect(await workbench.tab('resnet20.compressed.onnx').count()).toBe(0);
    await world.screenshot('written over');
    await told().getByText('Export Point...', { exact: true }).click();
    await workbench.quickItem('Episode 2').waitFor();
    await workbench.page.keyboard.press('Escape');
    await clearNotifications();
    const newest = (await runs()).find(({ out }) => out === at('resnet20.compressed.onnx'))!;
    await command('openResult', newest.runId);
    await workbench.tab('resnet20.compressed.onnx').waitFor();
  });
});
