import { createHash } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { Report } from '../../../src/engine/protocol.ts';
import { bundle } from '../../support/bundle.ts';
import { temporaryFolder } from '../../support/files.ts';
import { type CliOptions, runCli } from '../../support/runCli.ts';
import { smallTask } from '../../support/smallTask.ts';

const folder = await temporaryFolder();
let program: string, remove: () => Promise<void>;
beforeAll(async () => { ({ program, remove } = await bundle('src/engine/cli.ts')); });
afterAll(() => remove());

const cli = (args: readonly string[], stop?: CliOptions['stop']): ReturnType<typeof runCli> => runCli(program, args, stop ? { stop } : {});
const sha256 = async (name: string): Promise<string> => createHash('sha256').update(await readFile(join(folder, name))).digest('hex');
const reportOf = async (run: string): Promise<Report> => JSON.parse(await readFile(join(folder, run, 'report.json'), 'utf8')) as Report;

it('a run stopped by Ctrl-C, then killed, then resumed ends in the files of an undisturbed one', async () => {
  const { model, data } = await smallTask(folder);
  const original = await sha256('small.onnx');
  const args = (name: string): string[] => ['compress', model, '--val', data, '--target', 'macs=0.5', '--episodes', '8', '--threads', '1', '--out', join(folder, `${name}.onnx`), '--run-dir', join(folder, name)];
  expect(await cli(args('whole'))).toMatchObject({ status: 0, stderr: '' });

  const stopped = await cli(args('broken'), { signal: 'SIGINT', at: /"type":"episode","candidate":\{"episode":2,/ });
  expect(stopped.status).toBe(130);
  expect(stopped.stderr).toContain(`auto-compress resume ${JSON.stringify(join(folder, 'broken'))}`);
  expect(await readdir(folder)).not.toContain('broken.onnx');
  expect(await cli(['resume', join(folder, 'broken')], { signal: 'SIGKILL', at: /"type":"episode","candidate":\{"episode":5,/ })).toMatchObject({ signal: 'SIGKILL' });
  expect(await cli(['resume', join(folder, 'broken')])).toMatchObject({ status: 0, stderr: '' });

  expect(await sha256('broken.onnx')).toBe(await sha256('whole.onnx'));
  const [whole, broken] = [await reportOf('whole'), await reportOf('broken')];
  expect(broken.candidates).toEqual(whole.candidates);
  expect(broken.baselines).toEqual(whole.baselines);
  expect(whole.after.macs / whole.before.macs).toBeLessThanOrEqual(0.5);
  expect(await sha256('small.onnx')).toBe(original);
  expect((await readdir(folder, { recursive: true })).filter((name) => name.endsWith('.tmp') || name.endsWith('lock'))).toEqual([]);
});
