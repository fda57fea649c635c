import { spawn } from 'node:child_process';

export interface CliOptions {
  /** A signal to send once an event line matches. */
  readonly stop?: { readonly signal: NodeJS.Signals; readonly at: RegExp };
  /** Options of node itself. */
  readonly node?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
}

/** Runs the bundled command line with --json. */
export function runCli(program: string, args: readonly string[], { stop, node = [], env = {} }: CliOptions = {}): Promise<{ status: number | null; signal: NodeJS.Signals | null; stderr: string }> {
  return new Promise((resolve) => {
    const run = spawn(process.execPath, [...node, program, ...args, '--json'], { stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, ...env } });
    let stdout = '', stderr = '';
    run.stdout.on('data', (chunk: Buffer) => { stdout += chunk.toString(); if (stop?.at.test(stdout)) run.kill(stop.signal); });
    run.stderr.on('data', (chunk: Buffer) => { stderr += chunk.toString(); });
    run.on('close', (status, signal) => { resolve({ status, signal, stderr }); });
  });
}
