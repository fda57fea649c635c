/** A folder that came from somewhere else, with reports in it. */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { until } from './support/workbench.ts';
import { type World, createWorld, whyNot } from './support/world.ts';

describe.skipIf(whyNot)('a folder that is not trusted', () => {
  let world: World;
  beforeAll(async () => { world = await createWorld({ compressed: true, trusted: false }); });
  afterAll(async () => { await world?.end(); });
  beforeEach(({ onTestFailed, task }) => { onTestFailed(() => world.explain(task.name)); });

  const editorText = async () => (await world.workbench.page.locator('.editor-instance .monaco-editor .view-lines').first().innerText()).replaceAll('\u00a0', ' ');

  it('can be worked with, but its reports are not taken in until somebody trusts it', async () => {
    const { workbench } = world, { page } = workbench, rows = await workbench.runRows();
    await workbench.contextMenu('resnet20.onnx', 'Inspect Layers');
    await workbench.webview('#model-layers');
    await workbench.open('resnet.py');
    await page.locator('.monaco-editor', { hasText: 'BasicBlock' }).waitFor();
    await workbench.runsPane().locator('.pane-header').hover();
    await workbench.runsPane().locator('.pane-header .action-label[aria-label="Refresh Runs"]').click();
    await workbench.runsPane().getByText('No model was compressed here yet.').waitFor();
    expect(world.server.workers().length, 'one for the table, none for hints').toBeLessThanOrEqual(1);
    expect(await editorText()).not.toContain('channels)');
    await world.screenshot('not trusted');
    await workbench.command('Workspaces: Manage Workspace Trust');
    await page.locator('.workspace-trust-editor .monaco-button', { hasText: /^Trust$/ }).first().click();
    await until('the run', async () => (await rows.allTextContents()).some((text) => text.includes('fewer MACs')));
    await page.locator('.monaco-modal-editor-block .codicon-close').first().click(); // it lies over the others
    await page.locator('.monaco-modal-editor-block').waitFor({ state: 'detached' });
    await workbench.tab('resnet.py').click();
    await until('hints', async () => (await editorText()).includes('in 9 layers'));
  });
});
