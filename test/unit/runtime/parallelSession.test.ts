import { describe, expect, it } from 'vitest';
import { InputError } from '../../../src/engine/errors.ts';
import { GraphBuilder } from '../../../src/engine/onnx/graphBuilder.ts';
import { ParallelSession, threadsAtRest } from '../../../src/engine/runtime/parallelSession.ts';
import { floats } from '../../../src/engine/runtime/session.ts';

/** y = 2 x, of a vector. */
function doubling(length: number | string = 3): ReturnType<GraphBuilder['model']> {
  const build = new GraphBuilder();
  build.output(build.mul(build.input('x', [length]), 2), 'y', [length]);
  return build.model();
}
/** Threads of this process that run JavaScript beside the first. */
const threads = (): number => (process.report!.getReport() as unknown as { workers: unknown[] }).workers.length;
const feed = (...values: number[]): { x: ReturnType<typeof floats> } => ({ x: floats(Float32Array.from(values), [values.length]) });

describe('ParallelSession', () => {
  it('runs each part on a thread of its own, again and again', async () => {
    const session = await ParallelSession.create(doubling(), 3);
    expect(session.count).toBe(3);
    for (let round = 0; round < 2; round++) {
      const results = await session.run([feed(round, 2, 3), feed(4, 5, 6), feed(7, 8, 9)]);
      expect(results.map(({ y }) => Array.from(y!.data, Number))).toEqual([[2 * round, 4, 6], [8, 10, 12], [14, 16, 18]]);
      expect(results[0]!['y']!.dims).toEqual([3]);
    }
    await session.release();
  });

  it('takes parts of other sizes in every run, and leaves what it was fed as it was', async () => {
    const session = await ParallelSession.create(doubling('length'), 1), fed = feed(1, 2, 3);
    expect((await session.run([fed]))[0]!['y']!.data).toEqual(Float32Array.of(2, 4, 6));
    expect((await session.run([feed(1, 2)]))[0]!['y']).toMatchObject({ dims: [2], data: Float32Array.of(2, 4) });
    expect((await session.run([feed(3, 2)]))[0]!['y']).toMatchObject({ dims: [2], data: Float32Array.of(6, 4) });
    expect((await session.run([fed]))[0]!['y']).toMatchObject({ dims: [3], data: Float32Array.of(2, 4, 6) });
    expect(fed.x.data).toEqual(Float32Array.of(1, 2, 3));
    await session.release();
  });

  it('lets the parts that are fed rightly finish where another fails, says why, and can be used again', async () => {
    const session = await ParallelSession.create(doubling(), 2);
    await expect(session.run([feed(1, 2, 3), feed(1, 2)])).rejects.toThrow(InputError);
    await expect(session.run([feed(1, 2), feed(1, 2, 3)])).rejects.toThrow(/can't run the model: .*invalid dimensions/i);
    expect((await session.run([feed(1, 2, 3), feed(0, 0, 0)])).map(({ y }) => y!.data[0])).toEqual([2, 0]);
    await session.release();
  });

  it('refuses a model that onnxruntime refuses, and leaves no thread behind', async () => {
    const build = new GraphBuilder();
    let value = build.input('x', [3]);
    for (let i = 0; i < 400; i++) value = build.mul(value, i + 2); // takes long enough that threads are refused one after another
    build.output(value, 'y', [3]);
    const model = build.model();
    model.graph.node.at(-1)!.opType = 'Mull';
    for (let round = 0; round < 10; round++) await expect(ParallelSession.create(model, 4)).rejects.toThrow(/can't load the model: .*Mull/);
    expect(threads()).toBe(0);
  });

  it('tells when its threads are at rest: after loading, running and releasing', async () => {
    const done: string[] = [], after = async (what: string, work: Promise<unknown>): Promise<void> => { void work.then(() => done.push(what)); await threadsAtRest(); await Promise.resolve(); };
    const created = ParallelSession.create(doubling(), 2);
    await after('loaded', created);
    expect(done).toEqual(['loaded']);
    const session = await created;
    await after('run', session.run([feed(1, 2, 3), feed(4, 5, 6)]));
    await after('released', session.release());
    expect(done).toEqual(['loaded', 'run', 'released']);
    expect(threads()).toBe(0);
  });

  it('ends its threads', async () => {
    const session = await ParallelSession.create(doubling(), 2);
    expect(threads()).toBe(2);
    await session.release();
    expect(threads()).toBe(0);
  });
});
