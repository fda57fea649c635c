/** The first minutes of someone who has just installed it: no run, no model of their own. */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { type World, createWorld, whyNot } from './support/world.ts';

describe.skipIf(whyNot)('the first steps', () => {
  let world: World;
  beforeAll(async () => { world = await createWorld(); });
  afterAll(async () => { await world?.end(); });
  beforeEach(({ onTestFailed, task }) => { onTestFailed(() => world.explain(task.name)); });

  it('begin where there are no runs yet, with what to do', async () => {
    const { page } = world.workbench, view = world.workbench.runsPane();
    await world.workbench.runRows();
    await view.getByText('No model was compressed here yet.').waitFor();
    await view.getByText('Compress Model...').waitFor();
    await world.screenshot('welcome');
    await view.getByText('Open the Walkthrough').click();
    await page.locator('.gettingStartedContainer').getByText('Make a Neural Network Smaller and Faster').first().waitFor();
  });

  it('show each thing that can be done, with a picture', async () => {
    const { page } = world.workbench;
    const steps = page.locator('.gettingStartedContainer .step-title');
    await steps.first().waitFor();
    expect(await steps.allTextContents()).toEqual(['Look at the layers', 'Compress it', 'Look at the trade-off', 'Write another point', 'See what was removed, where it is written']);
    for (const name of world.themes) {
      await world.useTheme(name);
      await page.locator('.gettingStartedContainer .getting-started-media img').first().waitFor();
      await world.screenshot(`walkthrough ${name}`);
    }
    await world.useTheme('light');
  });

  it('open the bundled example, and find its images', async () => {
    const { workbench } = world;
    await workbench.page.locator('.gettingStartedContainer').getByText('Inspect the Example', { exact: true }).click();
    const editor = await workbench.webview('#model-layers');
    expect(await editor.locator('#model-layers tbody tr').count()).toBeGreaterThan(20);
    await editor.locator('vscode-button[data-action="compress"]').click();
    await workbench.quickItem('validation').waitFor();
    expect(await workbench.quickItem('validation').textContent()).toContain('10 class folders');
    await workbench.page.keyboard.press('Escape');
    await workbench.quickInput().waitFor({ state: 'hidden' });
  });
});
