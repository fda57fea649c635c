import { parseArgs, type ParseArgsConfig } from 'node:util';
import { InputError } from '../errors.ts';
import { type Command, type Option, parseNumber, type Values } from './command.ts';

/** Options that every command takes. */
export const commonOptions: Readonly<Record<string, Option>> = {
  json: { help: 'One JSON object a line on standard output, the last of type "result".' },
  debug: { help: 'Show where an error came from.' },
  help: { help: 'Show this help.' },
};

const usageOf = (name: string, { operands }: Command): string => `auto-compress ${[name, ...operands].join(' ')}`;

/** The help of one command, made from its table. */
export function commandHelp(name: string, command: Command): string[] {
  const rows = Object.entries({ ...command.options, ...commonOptions }).map(([option, { help, value, required }]) =>
    [`  --${option}${value ? ` ${value}` : ''}`, `${help}${required ? ' Required.' : ''}`] as const);
  const width = Math.max(...rows.map(([left]) => left.length)) + 2;
  return [command.summary, '', `Usage: ${usageOf(name, command)} [options]`, '', ...rows.map(([left, right]) => `${left.padEnd(width)}${right}`)];
}

export function generalHelp(commands: Readonly<Record<string, Command>>): string[] {
  const rows = Object.entries(commands).map(([name, command]) => [`  ${usageOf(name, command)}`, command.summary] as const);
  const width = Math.max(...rows.map(([left]) => left.length)) + 3;
  return [
    'Makes trained ONNX networks smaller and faster.', '', ...rows.map(([left, right]) => `${left.padEnd(width)}${right}`), '',
    'Options of a command: auto-compress COMMAND --help', 'Exit status: 0 done; 1 internal error; 2 bad usage or input; 3 the target can\'t be reached; 130 cancelled.',
  ];
}

export interface ParsedCommandLine { readonly operands: readonly string[]; readonly values: Values }

/** Of an option that stands there twice one value would be lost without a word, and an empty path would be the current folder. @throws {InputError} names the option */
function checkGiven({ options }: Command, tokens: NonNullable<ReturnType<typeof parseArgs>['tokens']>): void {
  const seen = new Set<string>();
  for (const token of tokens) {
    if (token.kind !== 'option' || token.value === undefined) continue;
    if (token.value.trim() === '') throw new InputError(`Option --${token.name}: its value is empty.`);
    if (seen.has(token.name) && !options[token.name]?.multiple) throw new InputError(`Option --${token.name} stands there twice. Keep one of them.`);
    seen.add(token.name);
  }
}

/** Reads operands and options of a command. @throws {InputError} names the option or what is missing */
export function parseCommandLine(name: string, command: Command, args: readonly string[]): ParsedCommandLine {
  const table: NonNullable<ParseArgsConfig['options']> = {};
  for (const [option, { value, multiple }] of Object.entries({ ...command.options, ...commonOptions })) {
    table[option] = { type: value ? 'string' : 'boolean', ...(multiple ? { multiple: true } : {}), ...(option === 'help' ? { short: 'h' } : {}) };
  }
  const hint = `See: auto-compress ${name} --help`;
  let parsed;
  try {
    parsed = parseArgs({ args: [...args], options: table, allowPositionals: true, strict: true, tokens: true });
  } catch (error) {
    const { message } = error as Error;
    const unknown = /^Unknown option '(-[^']*)'/.exec(message)?.[1];
    throw new InputError(unknown ? `Unknown option ${unknown}. ${hint}` : `${message.split('\n')[0]!.replace(/\.? To specify.*$/, '').replace(/\.$/, '')}. ${hint}`, { cause: error });
  }
  const values: Record<string, Values[string]> = { ...parsed.values } as Record<string, Values[string]>;
  if (values['help'] === true) return { operands: [], values };
  if (parsed.positionals.length < command.operands.length) throw new InputError(`${command.operands[parsed.positionals.length]} is missing: ${usageOf(name, command)}. ${hint}`);
  if (parsed.positionals.length > command.operands.length) throw new InputError(`"${parsed.positionals[command.operands.length]}" is one argument too many: ${usageOf(name, command)}. ${hint}`);
  const empty = parsed.positionals.findIndex((operand) => operand.trim() === '');
  if (empty >= 0) throw new InputError(`${command.operands[empty]} is empty: ${usageOf(name, command)}. ${hint}`);
  checkGiven(command, parsed.tokens);
  for (const [option, { number, required, value }] of Object.entries(command.options)) {
    if (required && values[option] === undefined) throw new InputError(`Option --${option} ${value} is missing. ${hint}`);
    if (number && values[option] !== undefined) values[option] = parseNumber(option, values[option] as string);
  }
  return { operands: parsed.positionals, values };
}
