/** A child process that is given damaged files: watched for crashes, hangs and memory. */
import { type ChildProcess, fork } from 'node:child_process';
import { readFileSync } from 'node:fs';

/** No sign of life for so long is a hang. */
const hangSeconds = 30;
/** What a child may hold in memory. */
export const memoryLimitMb = 1500;
const lookMs = 200;

/** The most megabytes that a process has held in memory; 0 where the system does not tell. */
function mostMb(pid: number): number {
  try { return Number(/VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0) / 1024; } catch { return 0; }
}

export interface Ended { readonly ended: 'done' | 'crash' | 'hang' | 'memory'; readonly peakMb: number; readonly pid: number; readonly stderr: string }

/** Runs this program again with other arguments until it ends, or is ended. @param scratch its folder for temporary files */
export function watchChild(args: readonly string[], onMessage: (message: unknown) => void, scratch?: string): Promise<Ended> {
  return new Promise((resolve) => {
    const child: ChildProcess = fork(process.argv[1]!, [...args], { stdio: ['ignore', 'ignore', 'pipe', 'ipc'], execArgv: ['--enable-source-maps', '--expose-gc'], env: { ...process.env, ...(scratch === undefined ? {} : { TMPDIR: scratch }) } });
    let why: 'hang' | 'memory' | undefined, stderr = '', peakMb = 0, last = performance.now();
    const kill = (reason: 'hang' | 'memory'): void => { why ??= reason; child.kill('SIGKILL'); };
    const look = setInterval(() => {
      peakMb = Math.max(peakMb, mostMb(child.pid!));
      if (peakMb > memoryLimitMb) kill('memory');
      if (performance.now() - last > hangSeconds * 1000) kill('hang');
    }, lookMs);
    child.stderr!.on('data', (chunk: Buffer) => { stderr = (stderr + chunk.toString()).slice(-2000); });
    child.on('message', (message) => { last = performance.now(); onMessage(message); });
    child.on('close', (code, signal) => {
      clearInterval(look);
      const ended = why ?? (code === 0 ? 'done' : 'crash');
      resolve({ ended, peakMb, pid: child.pid!, stderr: ended === 'crash' ? `${signal ?? code} ${stderr}` : '' });
    });
  });
}
