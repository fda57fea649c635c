/** Coverage-guided fuzzing of the readers that are JavaScript (see test/support/guidedFuzz.ts): the second part of bench/faults.ts. */
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { hostileTargets, inputPath, tryBytes } from '../test/support/hostileInput.ts';
import { BranchCoverage, type FuzzState, guidedFuzz } from '../test/support/guidedFuzz.ts';
import { watchChild } from './faultChild.ts';

const beatMs = 250;
interface Beat extends FuzzState { readonly finding?: string }

/** Where inputs that led to a finding are kept. */
const findings = 'dist/faults';
const kept = async (name: string, bytes: Uint8Array): Promise<string> => {
  await mkdir(findings, { recursive: true });
  const path = join(findings, name.replace(/\W+/g, '-'));
  await writeFile(path, bytes);
  return path;
};

/** Fuzzes one reader for some seconds, in a process that may crash or hang without harm; tells how it goes. */
export async function fuzzChild(folder: string, index: number, seconds: number): Promise<void> {
  const coverage = new BranchCoverage(); // before anything of the readers is called
  const target = (await hostileTargets(join(folder, `good-${process.pid}`)))[index]!, end = performance.now() + seconds * 1000, known = new Set<string>();
  const send = (beat: Beat): void => { process.send!(beat); };
  let lastBeat = 0;
  send(await guidedFuzz([target.good], coverage, async (bytes, state) => {
    if (performance.now() - lastBeat > beatMs) { lastBeat = performance.now(); send(state); }
    const outcome = await tryBytes(target, bytes, join(folder, `try-${process.pid}`));
    if (typeof outcome === 'object') {
      const what = 'left' in outcome ? `left behind: ${outcome.left}` : outcome.unclear, place = what.split('\n').slice(0, 2).join('\n');
      if (!known.has(place)) { known.add(place); send({ ...state, finding: `${what} (input: ${await kept(`${target.name}-${known.size}`, bytes)})` }); }
    }
    return performance.now() < end;
  }));
  process.disconnect();
}

/** Fuzzes every reader for some seconds each; prints what it found. @returns whether that was nothing */
export async function fuzzReaders(folder: string, secondsEach: number): Promise<boolean> {
  const targets = (await hostileTargets(join(folder, 'good'))).map((target, index) => ({ target, index })).filter(({ target }) => !target.native);
  let executions = 0, inputsKept = 0, branches = 0, found = 0, peakMb = 0;
  for (const { target, index } of targets) {
    let state: FuzzState = { executions: 0, kept: 0, branches: 0 };
    const { ended, peakMb: peak, pid, stderr } = await watchChild(['fuzz-child', folder, String(index), String(secondsEach)], (message) => {
      const { finding, ...now } = message as Beat;
      state = now;
      if (finding !== undefined) { found++; console.log(`FOUND ${target.name}: ${finding}`); }
    });
    if (ended !== 'done') {
      const bytes = await readFile(inputPath(target, join(folder, `try-${pid}`))).catch(() => new Uint8Array(0));
      found++;
      console.log(`${ended.toUpperCase()} ${target.name} after ${state.executions} executions (input: ${await kept(`${target.name}-${ended}`, bytes)}) ${stderr}`);
    }
    executions += state.executions;
    inputsKept += state.kept;
    branches += state.branches;
    peakMb = Math.max(peakMb, peak);
  }
  console.log(`guided fuzzing: ${executions} executions on ${targets.length} readers of ${secondsEach} s each, ${inputsKept} inputs kept for new branches (${branches} branches seen), ${found} findings, peak memory ${peakMb.toFixed(0)} MB`);
  return found === 0;
}
