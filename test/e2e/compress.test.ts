import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { type World, createWorld, whyNot } from './support/world.ts';
import { until } from './support/workbench.ts';

describe.skipIf(whyNot)('compressing a model in the workbench', () => {
  let world: World;
  beforeAll(async () => { world = await createWorld(); });
  afterAll(async () => { await world?.end(); });
  beforeEach(({ onTestFailed, task }) => { onTestFailed(() => world.explain(task.name)); });

  it('starts from the file menu, asks its questions, and the dashboard moves until the model is written', async () => {
    const { workbench, server } = world;
    await workbench.contextMenu('resnet20.onnx', 'Compress Model...');
    await workbench.pick('images.npz');
    await workbench.quickItem('Use these images').waitFor();
    expect(await workbench.quickItem('Use these images').textContent()).toMatch(/images, 10 classes, preprocessing found: .+, accuracy of the original \d\d\.\d%/);
    await world.screenshot('wizard');
    await workbench.pick('Use these images');
    await workbench.pick('2.0x fewer MACs');
    await workbench.pick('Episodes:');
    await workbench.quickInput().locator('input.input').first().fill('40');
    await workbench.page.keyboard.press('Enter');
    await workbench.pick('Start');

    const dashboard = await workbench.webview('#status');
    await until('five episodes', async () => (await dashboard.locator('#progress-text').textContent())?.match(/Episode (5|6|7|8)/));
    await world.screenshot('dashboard running');
    await dashboard.locator('#status[data-status="done"]').waitFor({ timeout: 120_000 });
    expect(await dashboard.locator('#summary').textContent()).toMatch(/^\d\.\dx fewer MACs/);
    expect(existsSync(join(server.workspace, 'resnet20.compressed.onnx'))).toBe(true);
    await world.screenshot('dashboard done');
  });
});
