/** The command line: `auto-compress COMMAND`. */
import { version } from '../../package.json';
import { commands } from './cli/commands.ts';
import { commandHelp, generalHelp, parseCommandLine } from './cli/parseCommandLine.ts';
import { ProgressLine } from './cli/progress.ts';
import { CancelledError, InputError, messageOf, printable, UserError } from './errors.ts';
import type { RunEvent } from './protocol.ts';
import { threadsAtRest } from './runtime/parallelSession.ts';

/** How long a run may take to stop by itself after Ctrl-C. Its files are whole at any time, so stopping it then loses nothing. */
const graceMs = 1700;

const args = process.argv.slice(2);
const json = args.includes('--json'), debug = args.includes('--debug');
const progress = new ProgressLine(process.stdout); // standard error is for what went wrong
const print = (line: string): void => { progress.clear(); process.stdout.write(`${json ? line : printable(line)}\n`); };
const controller = new AbortController();
/** The run that is going on. */
let runDir: string | undefined, leaving = false;
const goOn = (): string => (runDir === undefined ? '' : ` Go on with: auto-compress resume ${JSON.stringify(runDir)}`);

/** Says what went wrong, in one line, and leaves with the exit status that fits, as soon as no thread is in the middle of a run. Written synchronously: nothing is lost. */
function leave(error: unknown): void {
  if (leaving) return;
  leaving = true;
  progress.clear();
  const cancelled = error instanceof CancelledError || (error instanceof Error && error.name === 'AbortError');
  const exitStatus = cancelled ? 130 : error instanceof UserError ? error.exitStatus : 1;
  const reason = messageOf(error).split('\n')[0]!;
  const message = cancelled ? `Cancelled.${goOn()}`
    : error instanceof UserError ? reason : `Internal error: ${reason}. Run it again with --debug and report this.`;
  if (json) process.stdout.write(`${JSON.stringify({ type: 'error', message, exitStatus } satisfies RunEvent)}\n`);
  process.stderr.write(`auto-compress: ${printable(message)}\n`);
  const stack = `${error instanceof Error ? error.stack ?? '' : ''}${error instanceof Error && error.cause instanceof Error ? `\nCaused by ${error.cause.stack ?? ''}` : ''}`;
  if (debug && stack !== '') for (const line of stack.split('\n')) process.stderr.write(`${printable(line)}\n`);
  process.exitCode = exitStatus;
  void threadsAtRest().then(() => process.exit());
}

function emit(event: RunEvent): void {
  if (event.type === 'run') runDir = event.runDir; else if (event.type === 'result') runDir = undefined;
  if (json) print(JSON.stringify(event)); else progress.event(event);
}

/** Asks the run to stop; two seconds without an end stop the process. */
function cancel(): void {
  controller.abort(new CancelledError());
  setTimeout(leave, graceMs, new CancelledError());
}

/** The first signal asks the run to stop; a second one stops the process; one more does not wait for threads. */
function cancelOnSignals(): void {
  for (const name of ['SIGINT', 'SIGTERM'] as const) {
    process.on(name, () => {
      if (leaving) process.kill(process.pid, 'SIGKILL');
      if (controller.signal.aborted) leave(new CancelledError());
      cancel();
    });
  }
}

/** Standard output can't be written. Where nobody reads on (`| head`), a run stops, to be resumed, and what else was asked for has no reader. */
function unheard(error: NodeJS.ErrnoException): void {
  if (leaving || controller.signal.aborted) return;
  if (error.code !== 'EPIPE') leave(new InputError(`Can't write to standard output: ${messageOf(error)}.${goOn()}`));
  else if (runDir !== undefined) cancel();
  else void threadsAtRest().then(() => process.exit(0));
}

async function main(): Promise<void> {
  const [name, ...rest] = args;
  if (name === undefined || name === '--help' || name === '-h' || name === 'help') {
    for (const line of generalHelp(commands)) print(line);
    if (name === undefined) process.exitCode = 2;
    return;
  }
  if (name === '--version') { print(version); return; }
  const command = Object.hasOwn(commands, name) ? commands[name] : undefined;
  if (!command) throw new InputError(`There is no command "${name}". Commands: ${Object.keys(commands).join(', ')}.`);
  const { operands, values } = parseCommandLine(name, command, rest);
  if (values['help'] === true) { for (const line of commandHelp(name, command)) print(line); return; }
  cancelOnSignals();
  await command.run(operands, values, { emit, print, signal: controller.signal, columns: process.stdout.columns || 100 });
  progress.clear();
}

process.stdout.once('error', unheard).on('error', () => undefined); // every write after the first that failed fails as well
process.on('uncaughtException', leave);
process.on('unhandledRejection', leave);
main().then(() => { process.stdout.write('', (error) => { if (!error) process.exit(); }); }, leave);
