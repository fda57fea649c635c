/** Exit statuses of the command line (DESIGN: fixed interface). */
export type ExitStatus = 0 | 1 | 2 | 3 | 130;

/** Text as one line that does nothing to a terminal: spaces stand for line breaks, escapes and other control characters, which names out of models and files may hold. */
export const printable = (text: string): string => text.replace(/[\p{Cc}\u2028\u2029]+/gu, ' ');

/** Text out of models and files may have megabytes: they do not reach the user. */
const longestMessage = 900;
const oneLine = (message: string): string => {
  const line = printable(message);
  return line.length <= longestMessage ? line : `${line.slice(0, longestMessage)} ...`;
};

/** An error whose message is meant for the user: one line that names the file, node, operator or option and says what to do. */
export class UserError extends Error {
  readonly exitStatus: ExitStatus;
  constructor(message: string, options?: ErrorOptions & { exitStatus?: ExitStatus }) {
    super(oneLine(message), options);
    this.name = new.target.name;
    this.exitStatus = options?.exitStatus ?? 2;
  }
}

/** Wrong usage or wrong input: a file, an option, a data set. Exit status 2. */
export class InputError extends UserError {}

/** The model is valid ONNX but holds something that can't be handled; the message names node and operator. Exit status 2. */
export class UnsupportedModelError extends UserError {}

/** The target can't be reached; the message says how near one can get. Exit status 3. */
export class UnreachableTargetError extends UserError {
  constructor(message: string, options?: ErrorOptions) { super(message, { ...options, exitStatus: 3 }); }
}

/** The user stopped the run. Exit status 130. */
export class CancelledError extends UserError {
  constructor(message = 'Cancelled.', options?: ErrorOptions) { super(message, { ...options, exitStatus: 130 }); }
}

/** The message of anything that was thrown. */
export const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));
