import { existsSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { compressOptionsSchema, parseCompressOptions, parseTarget, targetMetrics } from '../../../src/engine/protocol.ts';
import { numberProblem, offeredMethods, offeredTargets, targetPresets, targetProblem, targetsFor } from '../../../src/host/offers.ts';

interface Setting { readonly type: string | readonly string[]; readonly default: unknown; readonly minimum?: number; readonly maximum?: number; readonly enum?: readonly string[]; readonly scope?: string; readonly pattern?: string; readonly items?: { readonly enum?: readonly string[] }; readonly markdownDescription: string }
interface Step { readonly description: string; readonly media: { readonly image: Readonly<Record<string, string>> }; readonly completionEvents: readonly string[] }
const manifest = JSON.parse(readFileSync('package.json', 'utf8')) as { activationEvents: readonly string[]; capabilities: { untrustedWorkspaces: { supported: string; description: string; restrictedConfigurations: readonly string[] } }; contributes: { languages: readonly { id: string; filenamePatterns?: readonly string[] }[]; configuration: { properties: Readonly<Record<string, Setting>> }; commands: readonly { command: string; icon?: string }[]; walkthroughs: readonly { steps: readonly Step[] }[]; viewsWelcome: readonly { contents: string }[] } };
const texts = JSON.parse(readFileSync('package.nls.json', 'utf8')) as Readonly<Record<string, string>>;
const { contributes } = manifest;
const settings = contributes.configuration.properties;
interface Option { readonly type?: string; readonly minimum?: number; readonly maximum?: number; readonly default?: unknown; readonly enum?: readonly string[] }
const options = z.toJSONSchema(compressOptionsSchema, { io: 'input' }).properties as Readonly<Record<string, Option>>;
/** Of one run, not of a workspace. */
const asked = ['model', 'val', 'out', 'runDir'];

describe('settings', () => {
  it.each(Object.keys(options).filter((name) => !asked.includes(name)))('hold the option %s with its range', (name) => {
    const setting = settings[`autoCompress.${name === 'baseline' ? 'baselines' : name}`], option = options[name]!;
    expect(setting, 'a setting').toBeDefined();
    expect(setting!.maximum).toBe(option.maximum);
    if (option.type === 'integer' || option.type === 'number') expect([setting!.type].flat()).toContain(option.type);
    expect(setting!.scope, 'read for a model, so a folder of a workspace may have its own').toBe('resource');
    if (option.default !== undefined && setting!.default !== null) expect(setting!.default).toEqual(option.default); // null leaves it to the engine
    if (name === 'method') expect(setting!.enum).toEqual(offeredMethods);
    else if (option.enum) expect(setting!.enum).toEqual(expect.arrayContaining([...option.enum]));
  });

  it.each(['refine', 'finetune'])('take whole epochs only for %s', (name) => {
    expect(parseCompressOptions({ model: 'm', val: 'v', target: parseTarget('macs=0.5'), [name]: 3 })).toMatchObject({ [name]: 3 });
    expect(() => parseCompressOptions({ model: 'm', val: 'v', target: parseTarget('macs=0.5'), [name]: 0.5 })).toThrow(new RegExp(`${name}.*whole number, got 0.5`));
  });

  it('take exactly the targets that are offered', () => {
    const { pattern } = settings['autoCompress.target']!;
    const takes = (text: string) => new RegExp(pattern!).test(text);
    expect(targetMetrics.filter((metric) => takes(`${metric}=${metric === 'accuracy-drop' ? '1' : '0.5'}`))).toEqual(targetMetrics.filter((metric) => offeredTargets.includes(metric)));
    expect(takes('macs=2')).toBe(false);
    for (const preset of targetPresets) expect(parseCompressOptions({ model: 'm', val: 'v', target: parseTarget(preset) }).target, preset).toBeDefined();
  });
});

describe('the wizard', () => {
  it('offers the targets that the method can reach, the chosen one first', () => {
    expect(targetsFor('channels', 'macs=0.4')).toEqual(['macs=0.4', ...targetPresets]);
    expect(targetsFor(undefined, targetPresets[1]!)[0]).toBe(targetPresets[1]);
    expect(targetsFor('weights', 'macs=0.5')).toEqual(targetPresets.filter((text) => !/^(macs|latency)=/.test(text)));
  });

  it('says why a target is none, in words that fit it', () => {
    expect(targetProblem('macs=0.5')).toBeUndefined();
    expect(targetProblem('macs=0.5', 'weights')).toMatch(/^Target macs needs the method channels/);
    expect(targetProblem('macs=2')).toMatch(/between 0 and 1/);
    expect(targetProblem('half')).toMatch(/such as macs=0.5/);
  });
});

describe('a number that is typed', () => {
  it('is what the engine takes: whole epochs and episodes, none of either', () => {
    for (const [option, text] of [['finetune', ' 20 '], ['finetune', '0'], ['finetune', '1000'], ['episodes', '0'], ['episodes', '100000']] as const) expect(numberProblem(option, text), text).toBeUndefined();
    for (const text of ['', ' ', 'x', '-1', '0.5', '1001', 'Infinity']) expect(numberProblem('finetune', text), text).toBe('A whole number from 0 to 1,000');
    for (const text of ['', '0.5', '-1', '100001']) expect(numberProblem('episodes', text), text).toBe('A whole number from 0 to 100,000');
  });
});

describe('in a folder that is not trusted', () => {
  it("no setting of the folder that names files has an effect, and that is declared", () => {
    const { supported, description, restrictedConfigurations } = manifest.capabilities.untrustedWorkspaces;
    expect([supported, texts[description.replaceAll('%', '')]]).toEqual(['limited', expect.stringContaining('Reports')]);
    const paths = Object.entries(options).filter(([name, option]) => !asked.includes(name) && option.type === 'string' && !option.enum).map(([name]) => `autoCompress.${name}`);
    expect([...restrictedConfigurations].sort()).toEqual(paths.sort());
  });
});

describe('contributions', () => {
  const known = new Set(contributes.commands.map(({ command }) => command));
  it('give every command an icon', () => { expect(contributes.commands.filter(({ icon }) => !icon)).toEqual([]); });

  it('wake the extension for documents of its own, which a reload of the window brings back', () => {
    const schemes = ['modelText', 'reports'].map((name) => /scheme = '([\w-]+)'/i.exec(readFileSync(`src/host/${name}.ts`, 'utf8'))![1]!);
    expect(manifest.activationEvents).toEqual(expect.arrayContaining(schemes.map((scheme) => `onFileSystem:${scheme}`)));
  });

  it('know the text view of a model by its name, wherever it is shown: a comparison sets no language', () => {
    const [language] = contributes.languages, [, suffix] = /path: `\$\{model\.path\}([\w.]+)`/.exec(readFileSync('src/host/modelText.ts', 'utf8'))!;
    expect(language).toMatchObject({ id: 'onnx-text', filenamePatterns: [`*.onnx${suffix}`] });
  });

  it('lead from the walkthrough and the empty view to commands and pictures that are there', () => {
    const steps = contributes.walkthroughs.flatMap(({ steps: all }) => all);
    expect(steps).toHaveLength(5);
    const described = [...steps.map(({ description }) => description), ...contributes.viewsWelcome.map(({ contents }) => contents)].map((key) => texts[key.replaceAll('%', '')]!);
    const commands = described.flatMap((text) => [...text.matchAll(/command:([\w.]+)/g)].map(([, command]) => command!)).concat(steps.flatMap(({ completionEvents }) => completionEvents.map((event) => event.replace('onCommand:', ''))));
    expect(commands.filter((command) => !known.has(command) && !command.startsWith('workbench.'))).toEqual([]);
    expect(steps.flatMap(({ media }) => Object.values(media.image)).filter((path) => !existsSync(path))).toEqual([]);
  });
});
