import { createHash } from 'node:crypto';
import { readdir, readFile, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { readJournal } from '../../../src/engine/run/journal.ts';
import { bundle } from '../../support/bundle.ts';
import { temporaryFolder } from '../../support/files.ts';
import { type CliOptions, runCli } from '../../support/runCli.ts';
import { smallTask } from '../../support/smallTask.ts';

const folder = await temporaryFolder();
let program: string, remove: () => Promise<void>;
beforeAll(async () => { ({ program, remove } = await bundle('src/engine/cli.ts')); });
afterAll(() => remove());

/** A wall clock of a process that starts hours off and jumps by hours to and fro every 10 ms and at every look; the monotonic clock goes on, as the system's does. */
const jumpingClock = `const Real = Date, hours = 3600e3; let offset = Number(process.env.CLOCK_OFFSET_HOURS) * hours, looks = 0;
  const jump = () => { offset += [7, -19, 31, -23][looks++ % 4] * hours; };
  setInterval(jump, 10).unref();
  globalThis.Date = class Date extends Real { constructor(...args) { if (args.length) super(...args); else { jump(); super(Real.now() + offset); } } static now() { jump(); return Real.now() + offset; } };`;

const sha256 = async (name: string): Promise<string> => createHash('sha256').update(await readFile(join(folder, name))).digest('hex');
/** Gives every file of a run, and what it began with, times of another year. */
async function shiftTimes(year: number, names: readonly string[]): Promise<void> {
  const time = new Date(Date.UTC(year, 0));
  for (const name of [...names, ...(await readdir(join(folder, 'jumped'))).map((inner) => join('jumped', inner))]) await utimes(join(folder, name), time, time);
}

it('a run whose clock jumps, which is stopped, killed and resumed in other years, ends in the file of an undisturbed one', async () => {
  const { model, data } = await smallTask(folder), clock = join(folder, 'clock.cjs');
  await writeFile(clock, jumpingClock);
  const args = (name: string): string[] => ['compress', model, '--val', data, '--target', 'macs=0.5', '--episodes', '8', '--threads', '1', '--out', join(folder, `${name}.onnx`), '--run-dir', join(folder, name)];
  const jumped = (own: readonly string[], hours: number, stop?: CliOptions['stop']): ReturnType<typeof runCli> => runCli(program, own, { node: ['--require', clock], env: { CLOCK_OFFSET_HOURS: String(hours) }, ...(stop ? { stop } : {}) });
  const at = (episode: number): RegExp => new RegExp(`"type":"episode","candidate":\\{"episode":${episode},`);
  expect(await runCli(program, args('whole'))).toMatchObject({ status: 0, stderr: '' });

  expect((await jumped(args('jumped'), 50_000, { signal: 'SIGINT', at: at(2) })).status).toBe(130);
  const { created } = JSON.parse(await readFile(join(folder, 'jumped/options.json'), 'utf8')) as { created: string };
  expect(Date.parse(created) - Date.now()).toBeGreaterThan(365 * 86_400_000); // so the run did have that clock
  await shiftTimes(2050, ['small.onnx', 'data.npz']);
  expect(await jumped(['resume', join(folder, 'jumped')], -50_000, { signal: 'SIGKILL', at: at(5) })).toMatchObject({ signal: 'SIGKILL' }); // leaves its lock
  await shiftTimes(1990, ['small.onnx', 'data.npz']);
  expect(await jumped(['resume', join(folder, 'jumped')], 0)).toMatchObject({ status: 0, stderr: '' });

  expect(await sha256('jumped.onnx')).toBe(await sha256('whole.onnx'));
  expect((await readJournal(join(folder, 'jumped/journal.ndjson'))).length).toBe((await readJournal(join(folder, 'whole/journal.ndjson'))).length);
  const seconds = Object.values((JSON.parse(await readFile(join(folder, 'jumped/report.json'), 'utf8')) as { seconds: Record<string, number> }).seconds);
  for (const value of seconds) expect(value).toSatisfy((own: number) => own >= 0 && own < 3600); // taken from the monotonic clock
});
