/**
 * Coverage-guided fuzzing without native parts: V8 tells which branches an input took (Chrome DevTools protocol, Profiler.takePreciseCoverage),
 * and inputs that took a new one, or took one much more often, are kept and varied further, as libFuzzer and AFL do.
 */
import { Session } from 'node:inspector';
import { Random } from '../../src/engine/numerics/random.ts';
import { mutate } from './mutations.ts';

/**
 * Which branches of all functions that are first called after `new BranchCoverage()` were taken; node's own scripts left out. A branch is a range of
 * a script with how often it was entered (0, 1, 2, 4 ... times): V8 leaves out ranges entered as often as those around them, so that not entering tells as much.
 */
export class BranchCoverage {
  private readonly session = new Session();

  constructor() {
    this.session.connect();
    this.session.post('Profiler.enable');
    this.session.post('Profiler.startPreciseCoverage', { callCount: true, detailed: true });
  }

  /** Runs a reader. @param seen what to compare with @returns its value, and how many branches it took that are not among those seen, which they then are; what is done outside does not count */
  async watch<T>(read: () => Promise<T>, seen: Set<string>): Promise<{ value: T; fresh: number }> {
    this.session.post('Profiler.takePreciseCoverage');
    const value = await read();
    let fresh = 0;
    this.session.post('Profiler.takePreciseCoverage', (error, taken) => {
      if (error) throw error;
      for (const { scriptId, url, functions } of taken.result) {
        if (url === '' || url.startsWith('node:')) continue;
        for (const { ranges } of functions) for (const { startOffset, endOffset, count } of ranges) {
          const branch = `${scriptId} ${startOffset} ${endOffset} ${Math.min(7, 32 - Math.clz32(count))}`;
          if (!seen.has(branch)) { seen.add(branch); fresh++; }
        }
      }
    });
    return { value, fresh };
  }
}

const longestInput = 2 ** 16, mostKept = 5000;
/** Asking V8 takes longer than most reads: it is asked after so many inputs, and again of each where they led to something new. */
const batchInputs = 16;

/** A variation of an input, or of two. */
function vary(corpus: readonly Uint8Array[], random: Random): Buffer {
  const pick = (): Uint8Array => { const newest = random.integer(2) === 0 ? Math.floor(corpus.length * 0.75) : 0; return corpus[newest + random.integer(corpus.length - newest)]!; };
  let bytes: Buffer = Buffer.from(pick());
  if (random.integer(4) === 0) { const other = pick(); bytes = Buffer.concat([bytes.subarray(0, random.integer(bytes.length + 1)), other.subarray(random.integer(other.length + 1))]); }
  if (random.integer(3) === 0 && bytes.length > 0) bytes[random.integer(Math.min(bytes.length, random.integer(2) === 0 ? 32 : bytes.length))] = random.integer(256); // one byte of any value
  else bytes = mutate(bytes, random.integer(2 ** 31));
  return bytes.subarray(0, longestInput);
}

/** How the fuzzing stands: inputs tried, those kept because they led to something new, branches taken. */
export interface FuzzState { readonly executions: number; readonly kept: number; readonly branches: number }

/**
 * Tries variations of good inputs until told to stop.
 * @param coverage undefined tries as many without guidance
 * @param tryInput reads one input; returns false to stop
 */
export async function guidedFuzz(good: readonly Uint8Array[], coverage: BranchCoverage | undefined, tryInput: (bytes: Uint8Array, state: FuzzState) => Promise<boolean>, seed = 0): Promise<FuzzState> {
  const random = new Random(seed), corpus: Uint8Array[] = [], seen = new Set<string>(), seenTogether = new Set<string>();
  const state = (executions: number): FuzzState => ({ executions, kept: Math.max(0, corpus.length - good.length), branches: seen.size });
  let executions = 0, goOn = true;
  const read = async (bytes: Uint8Array): Promise<void> => { goOn &&= await tryInput(bytes, state(++executions)); };
  const alone = async (bytes: Uint8Array): Promise<number> => (coverage ? (await coverage.watch(() => read(bytes), seen)).fresh : (await read(bytes), 0));
  for (const bytes of good) { await alone(bytes); corpus.push(bytes); }
  while (goOn) {
    const batch = Array.from({ length: batchInputs }, () => vary(corpus, random)), together = async (): Promise<void> => { for (const bytes of batch) if (goOn) await read(bytes); };
    const fresh = coverage ? (await coverage.watch(together, seenTogether)).fresh : (await together(), 0);
    if (fresh > 0) for (const bytes of batch) if (goOn && await alone(bytes) > 0 && corpus.length < mostKept) corpus.push(bytes);
  }
  return state(executions);
}
