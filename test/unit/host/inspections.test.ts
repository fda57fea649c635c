import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { CancelledError } from '../../../src/engine/errors.ts';
import type { Inspection } from '../../../src/engine/protocol.ts';
import type { CallOptions, Engine } from '../../../src/host/engine.ts';
import { Inspections } from '../../../src/host/inspections.ts';

/** Calls of `inspect`, answered by the test: what is under test is who waits for which. */
class SlowEngine {
  readonly calls: { readonly signal: AbortSignal; answer(path: string): void; fail(error: Error): void }[] = [];
  inspect = (_model: string, { signal }: CallOptions = {}) => new Promise<Inspection>((resolve, reject) => {
    signal!.addEventListener('abort', () => reject(new CancelledError()));
    this.calls.push({ signal: signal!, answer: (path) => resolve({ path } as Inspection), fail: reject });
  });
}

describe('answers about files', () => {
  let folder: string, model: string, engine: SlowEngine, inspections: Inspections;
  const called = (times: number) => expect.poll(() => engine.calls.length).toBe(times);
  /** The file is looked at before one waits. */
  const everyoneWaits = () => new Promise((resolve) => setTimeout(resolve, 100));
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'auto-compress-inspections-'));
    model = join(folder, 'a.onnx');
    await writeFile(model, 'one');
    engine = new SlowEngine();
    inspections = new Inspections(engine as unknown as Engine);
  });
  afterEach(() => rm(folder, { recursive: true, force: true }));

  it('are asked for once, until the file changes', async () => {
    const both = Promise.all([inspections.inspect(model), inspections.inspect(model, { signal: new AbortController().signal })]);
    await called(1);
    engine.calls[0]!.answer('first');
    expect((await both).map(({ path }) => path)).toEqual(['first', 'first']);
    await writeFile(model, 'another');
    const again = inspections.inspect(model);
    await called(2);
    engine.calls[1]!.answer('second');
    expect((await again).path).toBe('second');
  });

  it('stop being made when nobody waits for them any more, and are made again when asked', async () => {
    const [one, other] = [new AbortController(), new AbortController()];
    const waiting = [one, other].map(({ signal }) => inspections.inspect(model, { signal }));
    await called(1);
    await everyoneWaits();
    one.abort();
    await expect(waiting[0]).rejects.toThrow(CancelledError);
    expect(engine.calls[0]!.signal.aborted, 'the other still waits').toBe(false);
    other.abort();
    await expect(waiting[1]).rejects.toThrow(CancelledError);
    expect(engine.calls[0]!.signal.aborted).toBe(true);
    const again = inspections.inspect(model);
    await called(2);
    engine.calls[1]!.answer('again');
    expect((await again).path).toBe('again');
  });

  it('go on for who can not stop, and a failure is not kept', async () => {
    const patient = inspections.inspect(model), hasty = new AbortController(), left = inspections.inspect(model, { signal: hasty.signal });
    await called(1);
    await everyoneWaits();
    hasty.abort();
    await expect(left).rejects.toThrow(CancelledError);
    expect(engine.calls[0]!.signal.aborted).toBe(false);
    engine.calls[0]!.fail(new Error('no model'));
    await expect(patient).rejects.toThrow('no model');
    void inspections.inspect(model);
    await called(2);
  });
});
