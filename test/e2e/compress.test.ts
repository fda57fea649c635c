/** From a model file to a smaller one, with everything that may come between. Each story goes on from the one before. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Frame } from 'playwright-core';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { Report } from '../../src/engine/protocol.ts';
import { seriousViolations } from './support/accessibility.ts';
import { until } from './support/workbench.ts';
import { type World, createWorld, whyNot } from './support/world.ts';

const episodeOf = async (dashboard: Frame) => Number(/Episode (\d+) of/.exec(await dashboard.locator('#progress-text').textContent() ?? '')?.[1] ?? 0);
const status = (dashboard: Frame, name: string, limit = 400_000) => dashboard.locator(`#status[data-status="${name}"]`).waitFor({ timeout: limit });

describe.skipIf(whyNot)('compressing a model', () => {
  let world: World;
  let dashboard: Frame;
  beforeAll(async () => { world = await createWorld(); });
  afterAll(async () => { await world?.end(); });
  beforeEach(({ onTestFailed, task }) => { onTestFailed(() => world.explain(task.name)); });

  /** The report that belongs to what the dashboard says. */
  const report = (): Report => JSON.parse(readFileSync(join(world.runDirs()[0]!, 'report.json'), 'utf8')) as Report;

  /** Answers the wizard's questions up to the start. */
  async function answerWizard(episodes: number): Promise<void> {
    const { workbench } = world;
    await workbench.pick('10 class folders');
    await workbench.pick('Use these images');
    await workbench.pick('2.0x fewer MACs');
    await workbench.pick('Episodes:');
    await workbench.answer('Number of episodes', String(episodes));
    await workbench.pick('Start');
  }

  it('tells a file that is no model in one clear message', async () => {
    const { workbench } = world;
    await workbench.contextMenu('broken.onnx', 'Compress Model...');
    await workbench.toast('broken.onnx is not an ONNX model').waitFor();
    await workbench.toast('Reading broken.onnx').waitFor({ state: 'detached' }); // on a slow machine that was told before, and goes
    expect(await workbench.page.locator('.notifications-toasts .notification-toast').count()).toBe(1);
    await workbench.closeNotifications();
  });

  it('starts from the menu of the file and shows what it found in the images', async () => {
    const { workbench } = world;
    for (const name of [...world.themes].reverse()) {
      await world.useTheme(name);
      await workbench.contextMenu('resnet20.onnx', 'Compress Model...');
      await workbench.quickItem('10 class folders').waitFor();
      await world.screenshot(`wizard ${name}`);
      if (name !== 'light') await workbench.page.keyboard.press('Escape');
    }
    await workbench.pick('10 class folders');
    const found = workbench.quickItem('Use these images');
    await found.waitFor();
    expect(await found.textContent()).toMatch(/images, 10 classes, accuracy of the original 9\d\.\d%Preprocessing found: ./);
    await world.screenshot('wizard preview');
    await workbench.page.keyboard.press('Escape');
    await workbench.quickInput().waitFor({ state: 'hidden' });
  });

  it('goes back to the target where single weights can not reach it', async () => {
    const { workbench } = world;
    await workbench.contextMenu('resnet20.onnx', 'Compress Model...');
    for (const answer of ['10 class folders', 'Use these images', '2.0x fewer MACs', 'Remove:', 'single weights']) await workbench.pick(answer);
    await workbench.quickInput().getByPlaceholder('Target macs needs the method channels').waitFor();
    await workbench.quickItem('2.0x smaller file').waitFor();
    expect((await workbench.quickInput().locator('.monaco-list-row .label-name:visible').allTextContents()).filter((text) => /fewer MACs|faster/.test(text))).toEqual([]);
    await world.screenshot('wizard other target');
    await workbench.pick('2.0x smaller file');
    expect(await workbench.quickItem('Remove:').textContent()).toContain('single weights');
    expect(await workbench.quickItem('Start').textContent()).toContain('2.0x smaller file');
    await workbench.page.keyboard.press('Escape');
    await workbench.quickInput().waitFor({ state: 'hidden' });
  });

  it('moves the charts while the agent searches, and writes a model of at most half the MACs', async () => {
    const { workbench } = world;
    await workbench.commandAndPick('Auto-Compress: Compress Model...', 'resnet20.onnx');
    await answerWizard(world.episodes);
    const says = (pattern: RegExp) => until(`${pattern} in the status bar`, async () => pattern.test(await workbench.statusBar().textContent({ timeout: 5000 }) ?? ''));
    const said = says(/resnet20\.onnx: episode \d+\/\d+, best \d+\.\d%/).then(() => says(/resnet20\.onnx: Rebuild the best model/));
    dashboard = await workbench.webview('#status');
    const first = await until('the first episode', async () => await episodeOf(dashboard) || undefined, 120_000);
    await dashboard.locator('#episodes-card canvas').waitFor();
    await dashboard.locator('#tradeoff-card canvas').waitFor();
    await until('a later episode', async () => await episodeOf(dashboard) > first, 120_000);
    await world.screenshot('dashboard running');
    await said;
    await status(dashboard, 'done');

    const { out, before, after } = report();
    expect(out).toBe(join(world.server.workspace, 'resnet20.compressed.onnx'));
    expect(existsSync(out)).toBe(true);
    expect(after.macs / before.macs).toBeLessThanOrEqual(0.5);
    await dashboard.locator('#summary', { hasText: `${(before.macs / after.macs).toFixed(1)}x fewer MACs` }).waitFor();
  });

  it('shows the chosen point of the trade-off layer by layer', async () => {
    const layer = report().layers.find(({ channelsAfter, channelsBefore }) => channelsAfter < channelsBefore)!;
    expect(await dashboard.locator('#layers-of').textContent()).toBe('Channels of the written model');
    const row = dashboard.locator('#layers tr', { has: dashboard.getByText(layer.name, { exact: true }) });
    expect(await row.textContent()).toContain(`${layer.channelsAfter} / ${layer.channelsBefore}`);
    const other = dashboard.locator('#points button[aria-pressed="false"]').first();
    const label = (await other.getAttribute('aria-label'))!;
    await other.focus();
    await world.workbench.page.keyboard.press('Enter');
    await dashboard.locator(`#points button[aria-pressed="true"][aria-label="${label}"]`).waitFor();
    expect(await dashboard.locator('#layers-of').textContent()).toMatch(/^Channels of (episode \d+|\w+)$/);
  });

  it('brings the dashboard back as it was when it is hidden, closed or reloaded', async () => {
    const { workbench } = world;
    const summary = await dashboard.locator('#summary').textContent();
    const chosen = await dashboard.locator('#layers-of').textContent();
    await workbench.open('resnet.py');
    await workbench.page.locator('.monaco-editor', { hasText: 'BasicBlock' }).waitFor();
    await workbench.tab('Compress resnet20').click();
    dashboard = await workbench.webview('#status');
    await until('the summary', async () => await dashboard.locator('#summary').textContent() === summary);
    await until('the chosen point', async () => await dashboard.locator('#layers-of').textContent() === chosen);
    await workbench.reload();
    await workbench.tab('Compress resnet20').click();
    dashboard = await workbench.webview('#status');
    await until('the summary after the reload', async () => await dashboard.locator('#summary').textContent() === summary);
    await workbench.closeTab('Compress resnet20');
    await workbench.command('Auto-Compress: Export Point...'); // in the palette also after a restart
    await workbench.quickItem('Episode').waitFor();
    await workbench.page.keyboard.press('Escape');
    await workbench.command('Auto-Compress: Open Dashboard');
    dashboard = await workbench.webview('#status');
    await until('the summary in a new dashboard', async () => await dashboard.locator('#summary').textContent() === summary);
  });

  it('is accessible, in light, dark and high contrast', async () => {
    const { workbench } = world;
    await workbench.closeNotifications();
    for (const name of world.themes) {
      await world.useTheme(name, dashboard);
      await dashboard.evaluate('window.scrollTo(0, 0)');
      await world.screenshot(`dashboard ${name}`);
      expect(await seriousViolations(dashboard), name).toEqual([]);
      await dashboard.evaluate("document.getElementById('layers-card').scrollIntoView()");
      await world.screenshot(`layers ${name}`);
    }
    await world.useTheme('light', dashboard);
  });

  it('measures the compressed model against the original', async () => {
    await dashboard.locator('vscode-button[data-action="benchmark"]').click();
    await dashboard.locator('#benchmark tbody tr').first().waitFor();
    expect(await dashboard.locator('#benchmark tbody tr').first().textContent()).toMatch(/\d+\.\d\d ms.*\d+\.\d\d ms.*\d+\.\d\dx/);
  });

  it('opens the report as text for people', async () => {
    await dashboard.locator('vscode-button[data-action="openReport"]').click();
    const preview = await world.workbench.webview('h2:has-text("Baselines")');
    expect(await preview.locator('body').textContent()).toContain('x fewer MACs');
    await world.screenshot('report');
    await world.workbench.closeTab('Preview resnet20');
  });

  it('stops when asked, and goes on where it stopped', async () => {
    const { workbench } = world;
    await workbench.commandAndPick('Auto-Compress: Compress with Last Settings', 'resnet20.onnx');
    const started = await workbench.webview('#status[data-status="running"]');
    await until('two episodes', async () => await episodeOf(started) >= 2, 120_000);
    await workbench.command('Auto-Compress: Stop Run');
    await status(started, 'stopped');
    expect(world.server.workers().length).toBeLessThanOrEqual(1); // only that of short questions may be there
    await workbench.toast('The compression of resnet20.onnx is stopped.').waitFor();
    await started.locator('vscode-button[data-action="resume"]').click();
    await status(started, 'done');
    await started.locator('#summary', { hasText: /x fewer MACs, / }).waitFor();
    await workbench.closeNotifications();
  });

  it('tells when the engine was killed, and resumes to the same result as an undisturbed run', async () => {
    const { workbench } = world;
    const undisturbed = report();
    const before = new Set(world.server.workers());
    await workbench.commandAndPick('Auto-Compress: Compress with Last Settings', 'resnet20.onnx');
    const started = await workbench.webview('#status[data-status="running"]');
    await until('two episodes', async () => await episodeOf(started) >= 2, 120_000);
    const worker = world.server.workers().find((pid) => !before.has(pid))!;
    process.kill(worker, 'SIGKILL');
    await workbench.toast('was killed').waitFor();
    await status(started, 'crashed');
    expect(await started.locator('#problem').textContent()).toContain('can be resumed');
    await world.screenshot('engine killed');
    await workbench.toast('was killed').getByText('Resume', { exact: true }).click();
    await status(started, 'done');
    const resumed = report();
    expect(resumed.after.macs).toBe(undisturbed.after.macs);
    expect(resumed.after.accuracy.value).toBe(undisturbed.after.accuracy.value);
    await workbench.closeNotifications();
  });

  it('lists the runs by model with what came out', async () => {
    const rows = await world.workbench.runRows();
    await until('three runs', async () => (await rows.allTextContents()).filter((text) => /x fewer MACs.*\d points (lost|won)/.test(text)).length === 3);
    await world.screenshot('runs view');
  });

  it('runs a task of tasks.json, and shows how its fine-tuning went', async () => {
    const { workbench } = world;
    await world.server.driver.run((vscode) => vscode.workspace.getConfiguration('autoCompress').update('train', 'images', vscode.ConfigurationTarget.Workspace)); // relative, as its own paths
    await workbench.command('Tasks: Run Task');
    await workbench.pick('compress resnet20');
    await workbench.page.locator('.terminal-wrapper, .xterm').first().waitFor();
    await until('the result of the task', () => Promise.resolve(existsSync(join(world.server.workspace, 'task.onnx'))), 600_000);
    await workbench.toast('resnet20.onnx is compressed').getByText('Show Dashboard', { exact: true }).click();
    await world.server.driver.run((vscode) => vscode.commands.executeCommand<undefined>('workbench.action.closePanel'));
    let tuned = await workbench.webview('#training-card');
    await until('the training chart', async () => { // the dashboard that was open gives way to this run's
      tuned = await workbench.webview('#training-card');
      return tuned.locator('#training-card canvas').isVisible().catch(() => false);
    });
    const { steps, after } = report(), { options } = JSON.parse(readFileSync(join(world.runDirs()[0]!, 'options.json'), 'utf8')) as { options: { train: string; model: string } };
    expect([options.model, options.train]).toEqual([join(world.server.workspace, 'resnet20.onnx'), join(world.server.workspace, 'images')]);
    expect(steps.map(({ step }) => step)).toEqual(expect.arrayContaining(['reconstruct', 'finetune']));
    expect(await tuned.locator('#steps').textContent()).toContain(`fine-tuned ${(100 * after.accuracy.value).toFixed(1)}%`);
    const losses = (await tuned.locator('#training tbody tr td:nth-child(3)').allTextContents()).map(Number);
    expect(losses.length).toBeGreaterThanOrEqual(2);
    expect(losses.every((loss) => loss > 0)).toBe(true);
    await workbench.closeNotifications();
    for (const name of world.themes) {
      await world.useTheme(name, tuned);
      await world.screenshot(`training ${name}`);
      expect(await seriousViolations(tuned), name).toEqual([]);
    }
    await world.useTheme('light', tuned);
    // time is an axis once it was measured
    await tuned.locator('vscode-radio[value="latency"]').click();
    await until('the axis of time', async () => await tuned.locator('#points thead th').nth(1).textContent() === 'Time');
    await tuned.locator('#points tbody tr', { hasText: 'Written' }).filter({ hasText: `${(100 * after.latencyMs.median / report().before.latencyMs.median).toFixed(1)}%` }).waitFor();
  });

  it('stays readable in a narrow panel', async () => {
    const { workbench } = world;
    const narrow = await workbench.webview('#training-card');
    await world.server.driver.run((vscode) => vscode.commands.executeCommand<undefined>('workbench.action.closeSidebar'));
    await workbench.page.setViewportSize({ width: 360, height: 900 });
    await until('a panel of about 300 pixels', () => narrow.evaluate<boolean>('innerWidth >= 260 && innerWidth <= 330'));
    await narrow.evaluate('window.scrollTo(0, 0)');
    await world.screenshot('narrow top');
    expect(await narrow.evaluate<boolean>('document.documentElement.scrollWidth <= document.documentElement.clientWidth'), 'nothing sticks out').toBe(true);
    for (const card of ['tradeoff-card', 'layers-card']) {
      await narrow.evaluate(`document.getElementById('${card}').scrollIntoView()`);
      await world.screenshot(`narrow ${card}`);
    }
    await workbench.page.setViewportSize({ width: 1400, height: 900 });
  });
});
