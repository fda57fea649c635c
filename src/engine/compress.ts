/** The flow of a run; written by its author in another branch, which replaces this boundary. */
import { InputError } from './errors.ts';
import type { CompressOptions, Report, RunEvent } from './protocol.ts';

/** Where a run sends its events, and what stops it. */
export interface RunContext { emit(event: RunEvent): void; readonly signal: AbortSignal }

type Compress = (options: CompressOptions, context: RunContext) => Promise<Report>;
type Resume = (runDir: string, context: RunContext) => Promise<Report>;
/** Writes the model of one candidate of a run. */
type ExportCandidate = (runDir: string, episode: number, out: string, context: RunContext) => Promise<void>;

const absent = (): Promise<never> => Promise.reject(new InputError('The flow of a run is not in this branch yet.'));
export const compress: Compress = absent;
export const resume: Resume = absent;
export const exportCandidate: ExportCandidate = absent;
