import { writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { EngineClient } from '../../src/engine/client.ts';
import { CancelledError, InputError, UserError } from '../../src/engine/errors.ts';
import { makeNode } from '../../src/engine/onnx/attributes.ts';
import { buildModel, valueInfo } from '../../src/engine/onnx/buildModel.ts';
import { saveModel } from '../../src/engine/onnx/modelFile.ts';
import { bundle } from '../support/bundle.ts';

let folder: string, worker: string, remove: () => Promise<void>, client: EngineClient, slowModel: string;

/** A model that takes about a second a run: products of square matrices of ones. */
async function writeSlowModel(path: string): Promise<void> {
  const names = Array.from({ length: 12 }, (_, i) => `x${i}`);
  await saveModel(buildModel({
    nodes: names.slice(1).map((name, i) => makeNode('MatMul', [names[i]!, names[i]!], [name])), inputs: [valueInfo('x0', [1200, 1200], 1)], outputs: [valueInfo(names.at(-1)!, [1200, 1200], 1)],
  }), path);
}

beforeAll(async () => {
  ({ program: worker, folder, remove } = await bundle('src/engine/worker.ts'));
  slowModel = resolve(folder, 'slow.onnx');
  await writeSlowModel(slowModel);
  client = new EngineClient(worker);
});
afterAll(async () => {
  client.dispose();
  await remove();
});

/** Waits for the process of a call to exist. */
const processOf = async (): Promise<number> => {
  for (;;) {
    const [pid] = client.processIds;
    if (pid !== undefined) return pid;
    await new Promise((wake) => setTimeout(wake, 5));
  }
};
const isAlive = (pid: number): boolean => { try { process.kill(pid, 0); return true; } catch { return false; } };
const gone = async (pid: number): Promise<void> => { while (isAlive(pid)) await new Promise((wake) => setTimeout(wake, 10)); };

describe('the engine\'s client', () => {
  it('answers from a forked process', async () => {
    const inspection = await client.inspect(slowModel);
    expect(inspection).toMatchObject({ path: slowModel, nodes: 11 });
    expect(client.processIds).toEqual([]);
  });

  it('rejects with the engine\'s message for wrong input', async () => {
    await writeFile(join(folder, 'text.onnx'), 'not a model');
    const failure = await client.inspect(resolve(folder, 'text.onnx')).then(() => undefined, (error: unknown) => error);
    expect(failure).toBeInstanceOf(InputError);
    expect((failure as Error).message).toMatch(/text\.onnx is not an ONNX model/);
  });

  it('rejects wrong options with their names', async () => {
    await expect(client.compress({ model: 'a', val: 'b', target: { metric: 'macs', value: 2 } })).rejects.toThrow(/^Target macs=2: expected a fraction between 0 and 1/);
    await expect(client.compress({ model: 'a', val: 'b', target: { metric: 'macs', value: 0.5 }, colour: 1 } as never)).rejects.toThrow(/colour/);
  });

  it('says so in plain words when its process is killed, and works again afterwards', async () => {
    const call = client.benchmark(slowModel, undefined);
    const failure = call.then(() => undefined, (error: unknown) => error);
    process.kill(await processOf(), 'SIGKILL');
    expect(await failure).toBeInstanceOf(UserError);
    expect(((await failure) as Error).message).toMatch(/^The engine's process was killed \(by the system when memory runs out, or by hand\)\.$/);
    await expect(client.inspect(slowModel)).resolves.toMatchObject({ nodes: 11 });
  });

  it('keeps other calls when one process dies', async () => {
    const benchmarked = client.benchmark(slowModel, undefined);
    const failure = benchmarked.then(() => undefined, (error: unknown) => error);
    const pid = await processOf();
    const inspected = client.inspect(slowModel);
    process.kill(pid, 'SIGABRT');
    expect(((await failure) as Error).message).toMatch(/^The engine's process crashed \(SIGABRT\)/);
    await expect(inspected).resolves.toMatchObject({ nodes: 11 });
  });

  it('cancels a call between native runs', async () => {
    const controller = new AbortController();
    const call = client.benchmark(slowModel, undefined, { signal: controller.signal });
    await processOf();
    controller.abort();
    await expect(call).rejects.toThrow(CancelledError);
    expect(client.processIds).toEqual([]);
  });

  it('kills a process that does not answer a cancellation', async () => {
    const stuck = join(folder, 'stuck.mjs');
    await writeFile(stuck, 'process.on("message", () => { for (;;); });');
    const other = new EngineClient(stuck);
    const controller = new AbortController();
    const call = other.inspect('x', { signal: controller.signal });
    const [pid] = other.processIds;
    setTimeout(() => { controller.abort(); }, 200);
    await expect(call).rejects.toThrow(CancelledError);
    await gone(pid!);
    other.dispose();
  });

  it('says of a run, and of nothing else, that it can be resumed', async () => {
    const deadly = join(folder, 'deadly.mjs');
    await writeFile(deadly, 'process.on("message", () => { process.kill(process.pid, "SIGKILL"); });');
    const other = new EngineClient(deadly);
    for (const call of [() => other.compress({ model: 'a', val: 'b', target: { metric: 'macs', value: 0.5 } }), () => other.resume('c')]) await expect(call()).rejects.toThrow(/by hand\)\. The run can be resumed\.$/);
    for (const call of [() => other.inspect('a'), () => other.previewData('a', 'b', {}), () => other.benchmark('a', undefined)]) await expect(call()).rejects.toThrow(/by hand\)\.$/);
    other.dispose();
  });

  it('rejects when the worker can\'t be started', async () => {
    const other = new EngineClient(join(folder, 'nothing.mjs'));
    await expect(other.inspect('x')).rejects.toThrow(/^The engine's process ended unexpectedly \(exit status 1\): Error.*: Cannot find module '.*nothing\.mjs'\.$/);
  });

  it.each([
    ['the last error', "throw new TypeError('x is not a function', { cause: 1 })", 'TypeError: x is not a function'],
    ['the last line where there is none', "process.stderr.write('first\\nNo space left on device\\n\\nNode.js v20.1.0\\n', () => process.exit(1))", 'No space left on device'],
  ])('repeats of what its process wrote %s', async (_what, program, said) => {
    const other = new EngineClient(join(folder, 'dying.mjs'));
    await writeFile(join(folder, 'dying.mjs'), `process.on('message', () => { ${program}; });`);
    await expect(other.inspect('x')).rejects.toThrow(`(exit status 1): ${said}`);
    other.dispose();
  });

  it('cancels open calls when it is disposed, and leaves no process', async () => {
    const other = new EngineClient(worker);
    const call = other.benchmark(slowModel, undefined).then(() => undefined, (error: unknown) => error);
    const [pid] = other.processIds;
    other.dispose();
    expect(await call).toBeInstanceOf(CancelledError);
    await gone(pid!);
    await expect(other.inspect('x')).rejects.toThrow('The engine has been stopped.');
  });

  it('ends its process when the parent is gone', async () => {
    const { execFile } = await import('node:child_process');
    const { promisify } = await import('node:util');
    const parent = join(folder, 'parent.mjs');
    await writeFile(parent, `import { fork } from 'node:child_process'; const child = fork(${JSON.stringify(worker)}, { stdio: 'ignore' }); child.send({ type: 'inspect', call: 1, model: ${JSON.stringify(slowModel)} }, () => { console.log(child.pid); process.kill(process.pid, 'SIGKILL'); });`);
    const output = await promisify(execFile)(process.execPath, [parent]).catch((error: { stdout: string }) => error);
    await gone(Number(output.stdout));
  });
});
