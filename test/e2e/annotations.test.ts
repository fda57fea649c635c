/** A model as a document, and what compression did to its layers, where the layers are written. */
import { execFileSync } from 'node:child_process';
import { copyFileSync, readFileSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { Inspection, LayerReport, Report } from '../../src/engine/protocol.ts';
import { seriousViolations } from './support/accessibility.ts';
import { until } from './support/workbench.ts';
import { type World, createWorld, whyNot } from './support/world.ts';

/** What the hint of a layer must say. */
const change = ({ channelsBefore, channelsAfter }: LayerReport) =>
  channelsAfter < channelsBefore ? `-${Math.round(100 * (1 - channelsAfter / channelsBefore))}% (${channelsBefore} -> ${channelsAfter} channels)` : `all ${channelsBefore} channels`;

describe.skipIf(whyNot)('a model as a document', () => {
  let world: World;
  beforeAll(async () => {
    world = await createWorld({ compressed: true });
  });
  afterAll(async () => { await world?.end(); });
  beforeEach(({ onTestFailed, task }) => { onTestFailed(() => world.explain(task.name)); });

  const inspection = () => JSON.parse(execFileSync(process.execPath, ['dist/cli.js', 'inspect', join(world.server.workspace, 'resnet20.onnx'), '--json']).toString().trim().split('\n').at(-1)!) as Inspection;
  const report = (): Report => JSON.parse(readFileSync(join(world.runDirs()[0]!, 'report.json'), 'utf8')) as Report;
  /** What an editor shows, with its no-break spaces as spaces. */
  const editorText = async () => (await world.workbench.page.locator('.editor-instance .monaco-editor .view-lines').first().innerText()).replaceAll('\u00a0', ' ');

  it('shows its layers in a table that can be searched and sorted, and is accessible', async () => {
    const { workbench } = world;
    const { layers } = inspection();
    await workbench.contextMenu('resnet20.onnx', 'Inspect Layers');
    const editor = await workbench.webview('#model-layers');
    const rows = editor.locator('#model-layers tbody tr');
    expect(await rows.count()).toBe(layers.length);
    expect(await rows.first().textContent()).toContain(layers[0]!.name);
    await world.screenshot('editor');
    await editor.getByRole('button', { name: 'Parameters' }).click();
    const largest = [...layers].sort((a, b) => b.params - a.params)[0]!;
    expect(await rows.first().textContent()).toContain(largest.params.toLocaleString('en'));
    await editor.locator('#search').click();
    await workbench.page.keyboard.type('gemm');
    await until('one layer left', async () => await editor.locator('#layer-count').textContent() === `1 of ${layers.length} layers`);
    expect(await rows.first().textContent()).toMatch(/no: ./);
    for (const name of world.themes) {
      await world.useTheme(name, editor);
      await world.screenshot(`editor ${name}`);
      expect(await seriousViolations(editor), name).toEqual([]);
    }
    await world.useTheme('light', editor);
  });

  it('shows the model that was written over the one in its editor, with the search and the order that were chosen', async () => {
    const { workspace, driver } = world.server, path = join(workspace, 'written [1].onnx'), [original, compressed] = ['resnet20.onnx', 'resnet20.compressed.onnx'].map((name) => join(workspace, name)) as [string, string];
    copyFileSync(original, path);
    await driver.run((vscode, file) => vscode.commands.executeCommand<undefined>('vscode.openWith', vscode.Uri.file(file), 'autoCompress.onnxEditor'), path);
    const params = (count: number) => world.workbench.webview(`.facts:has-text("${(count / 1000).toFixed(0)} k")`);
    let editor = await params(report().before.params);
    await editor.getByRole('button', { name: 'Parameters' }).click();
    await editor.locator('#search').click();
    await world.workbench.page.keyboard.type('conv');
    const chosen = async (): Promise<boolean> => await editor.locator('#layer-count').textContent() === '21 of 22 layers' && await editor.locator('th[aria-sort="descending"]').textContent() === 'Parameters' && await editor.locator('#search input').inputValue() === 'conv';
    await until('the layers of a kind', chosen);
    copyFileSync(compressed, `${path}.tmp`);
    renameSync(`${path}.tmp`, path); // as the engine writes
    editor = await params(report().after.params);
    await until('the layers of a kind, of the other model', chosen);
    await driver.run((vscode, file) => vscode.commands.executeCommand<undefined>('vscode.open', vscode.Uri.file(file)), join(workspace, 'resnet.py')); // a tab that is hidden is made anew
    await world.workbench.tab('written [1].onnx').click();
    editor = await params(report().after.params);
    await until('the same after it was hidden', chosen);
    await world.workbench.closeTab('written [1].onnx');
    await world.workbench.closeTab('resnet.py');
  });

  it('reads a model on a server as text', async () => {
    const text = await world.server.driver.run(async (vscode, path) => {
      await vscode.commands.executeCommand('autoCompress.showText', vscode.Uri.file(path));
      const found = vscode.window.activeTextEditor?.document.getText();
      await vscode.commands.executeCommand('workbench.action.closeActiveEditor');
      return found;
    }, `/${join(world.server.workspace, 'resnet20.onnx')}`); // here the server's name, in Windows' \\server\share, is the first folder
    expect(text).toMatch(/^node /m);
  });

  it('says in its text what was removed from each layer', async () => {
    await world.workbench.contextMenu('resnet20.onnx', 'Show Model as Text');
    const pruned = report().layers.filter(({ channelsAfter, channelsBefore }) => channelsAfter < channelsBefore).slice(0, 3);
    for (const layer of pruned) {
      const line = await until(`the hint of ${layer.name}`, async () => (await editorText()).split('\n').find((text) => text.includes(`${layer.name} `) && text.includes(change(layer))));
      expect(line).toContain('\u25B0');
    }
    for (const name of world.themes) {
      await world.useTheme(name);
      await world.screenshot(`annotations ${name}`);
    }
    await world.useTheme('light');
  });

  it('lists every node, also those without weights, and tells more of a layer when asked', async () => {
    const { workbench, server } = world;
    const text = await server.driver.run((vscode) => vscode.workspace.textDocuments.find(({ uri }) => uri.scheme === 'onnx')!.getText());
    const { nodes, groups } = inspection();
    const lines = text.split('\n');
    expect(lines.filter((line) => line.startsWith('node ')).length).toBe(nodes);
    expect(lines.filter((line) => / = Add\(/.test(line)).length).toBe(9); // one a residual block
    await until('what can be pruned', async () => (await server.driver.run((vscode) => vscode.workspace.textDocuments.find(({ uri }) => uri.scheme === 'onnx')!.getText())).split('\n').filter((line) => line.startsWith('group ')).length === groups.length);
    const layer = report().layers.find(({ channelsAfter, channelsBefore }) => channelsAfter < channelsBefore)!;
    await workbench.page.locator('.editor-instance .view-line', { hasText: change(layer).slice(0, 4) }).first().click();
    await workbench.command('Show or Focus Hover');
    const hover = workbench.page.locator('.monaco-hover:visible', { hasText: 'Compressed by Auto-Compress' }).first();
    await hover.waitFor();
    expect(await hover.textContent()).toMatch(/\d+ -> \d+/);
    await world.screenshot('annotations hover');
    await workbench.page.keyboard.press('Escape');
  });

  it('says it in the Python source that defines the model', async () => {
    await world.workbench.open('resnet.py');
    const stem = report().layers.find(({ name }) => name.startsWith('/stem'))!;
    const first = report().layers.filter(({ name }) => name.includes('/conv1/')).map(({ channelsBefore, channelsAfter }) => Math.round(100 * (1 - channelsAfter / channelsBefore))).sort((a, b) => a - b);
    const range = first[0] === first.at(-1) ? `-${first[0]}%` : `-${first[0]}% to -${first.at(-1)}%`;
    await until('the hint of the stem', async () => (await editorText()).split('\n').some((text) => text.includes('nn.Conv2d(3, 16, 3') && text.includes(change(stem))));
    await until('the hint of the blocks', async () => (await editorText()).split('\n').some((text) => text.includes('nn.Conv2d(inp, out, 3, stride') && text.includes(`${range} in 9 layers`)));
    await world.screenshot('annotations python');
    await world.workbench.command('Auto-Compress: Toggle Sparsity Annotations');
    await until('no hints', async () => !(await editorText()).includes('in 9 layers'));
    await world.server.driver.run((vscode) => vscode.workspace.getConfiguration('autoCompress').update('annotations.enabled', false, vscode.ConfigurationTarget.Workspace)); // counts more than the user's own
    await world.workbench.command('Auto-Compress: Toggle Sparsity Annotations');
    await until('hints again', async () => (await editorText()).includes('in 9 layers'));
  });

  it('says it beside each group of plan.json', async () => {
    const plan = JSON.parse(readFileSync(join(world.runDirs()[0]!, 'plan.json'), 'utf8')) as { groups: { name: string; channels: number; kept: number[] }[] };
    const group = plan.groups[0]!;
    await world.workbench.open(join(world.runDirs()[0]!, 'plan.json'));
    const expected = group.kept.length < group.channels ? `(${group.channels} -> ${group.kept.length} channels)` : `all ${group.channels} channels`;
    await until('the hint of the first group', async () => (await editorText()).includes(expected));
    await world.screenshot('annotations plan');
  });

  it('compares original and compressed model side by side', async () => {
    await world.workbench.contextMenu('resnet20.onnx', 'Compare with Original');
    await world.workbench.page.locator('.monaco-diff-editor').waitFor();
    await until('both sides', async () => (await world.workbench.page.locator('.monaco-diff-editor').innerText()).includes('resnet20.compressed.onnx'));
    await world.screenshot('compare');
  });

  it('tells a broken model in its editor', async () => {
    await world.workbench.contextMenu('broken.onnx', 'Inspect Layers');
    const editor = await world.workbench.webview('.problem');
    expect(await editor.locator('.problem').textContent()).toContain('broken.onnx is not an ONNX model');
  });
});
