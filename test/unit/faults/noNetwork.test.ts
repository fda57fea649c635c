import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtemp, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { bundle } from '../../support/bundle.ts';
import { temporaryFolder } from '../../support/files.ts';
import { canListSockets, networkSockets } from '../../support/openSockets.ts';
import { smallTask } from '../../support/smallTask.ts';

const folder = await temporaryFolder();
let program: string, remove: () => Promise<void>;
beforeAll(async () => { ({ program, remove } = await bundle('src/engine/cli.ts')); });
afterAll(() => remove());

/** Looks at a process every few milliseconds until it ends. @returns the network sockets that were seen, how often it looked, and the exit status */
async function watched(child: ChildProcess): Promise<{ seen: Set<string>; looks: number; status: number | null }> {
  const seen = new Set<string>();
  let looks = 0, status: number | null | undefined;
  child.on('close', (code) => { status = code; });
  while (status === undefined) {
    for (const socket of networkSockets(child.pid!)) seen.add(socket);
    looks++;
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  return { seen, looks, status };
}

describe.skipIf(!canListSockets)('no network (needs /proc/net, which only Linux has)', () => {
  it('a whole run, training included, opens no TCP, UDP or raw socket, nor asks for a name, nor gathers anything to be sent later', async () => {
    const { model, data } = await smallTask(folder);
    // what JavaScript asks of the network ends the process at once; native code is seen by its open sockets
    const guard = `const refuse = (what) => () => { console.error('NETWORK ' + what); process.exit(99); };
      const net = require('node:net'), dgram = require('node:dgram'), dns = require('node:dns');
      net.Socket.prototype.connect = refuse('connect'); net.Server.prototype.listen = refuse('listen'); dgram.createSocket = refuse('udp'); dns.lookup = refuse('lookup'); globalThis.fetch = refuse('fetch');`;
    await writeFile(join(folder, 'guard.cjs'), guard);
    const args = [program, 'compress', model, '--val', data, '--target', 'macs=0.5', '--episodes', '6', '--refine', '1', '--out', join(folder, 'small.out.onnx'), '--json'];
    const home = await mkdtemp(join(folder, 'home-'));
    const env = { ...process.env, HOME: home, XDG_CACHE_HOME: join(home, 'cache'), TMPDIR: home, ORT_DISABLE_TELEMETRY: '' };
    const { seen, looks, status } = await watched(spawn(process.execPath, ['--require', join(folder, 'guard.cjs'), ...args], { stdio: ['ignore', 'ignore', 'inherit'], env }));
    expect(await readdir(home, { recursive: true })).toEqual([]); // onnxruntime's usage data: a queue to be sent, a device number, logs
    expect(status).toBe(0);
    expect(looks).toBeGreaterThan(20);
    expect([...seen]).toEqual([]);
  });

  it('would see a socket, also one of a child process', async () => {
    const inner = "require('node:net').createServer().listen(0, '127.0.0.1'); setTimeout(() => process.exit(0), 500)";
    const { seen } = await watched(spawn(process.execPath, ['-e', `require('node:child_process').spawnSync(process.execPath, ['-e', ${JSON.stringify(inner)}])`], { stdio: 'ignore' }));
    expect([...seen].some((socket) => socket.startsWith('tcp '))).toBe(true);
  });
});
