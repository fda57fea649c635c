import { InputError } from '../errors.ts';
import type { RunContext } from '../operations.ts';

/** One option of a command; `value` names what it takes, an option without it is a switch. */
export interface Option {
  readonly help: string;
  readonly value?: string;
  readonly number?: boolean;
  readonly required?: boolean;
  readonly multiple?: boolean;
}
/** Values as given: text, number, switch, or a list. */
export type Values = Readonly<Record<string, string | number | boolean | readonly string[] | undefined>>;

export interface Terminal extends RunContext {
  /** A line of the answer, on standard output. */
  print(line: string): void;
  /** Columns of the terminal. */
  readonly columns: number;
}

export interface Command {
  readonly summary: string;
  /** What follows the command's name, e.g. ['MODEL']. */
  readonly operands: readonly string[];
  readonly options: Readonly<Record<string, Option>>;
  run(operands: readonly string[], values: Values, terminal: Terminal): Promise<void>;
}

export const text = (values: Values, name: string): string | undefined => values[name] as string | undefined;
export const number = (values: Values, name: string): number | undefined => values[name] as number | undefined;
export const flag = (values: Values, name: string): boolean => values[name] === true;

/** `text` as a number. @throws {InputError} names the option */
export function parseNumber(name: string, given: string): number {
  const value = given.trim() === '' ? NaN : Number(given);
  if (!Number.isFinite(value)) throw new InputError(`Option --${name}: expected a number, got "${given}".`);
  return value;
}
