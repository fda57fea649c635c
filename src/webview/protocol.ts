/** What passes between the extension host and its webviews. The host holds the truth: a webview says `ready`, gets a snapshot, then changes. */
import { z } from 'zod';
import type { BenchmarkResult, CompressOptions, Inspection, RunEvent } from '../engine/protocol.ts';
import type { RunStatus, RunView } from './client/state.ts';

/** What the dashboard needs to know of a run beside its events. */
export interface RunInfo {
  readonly runId: string;
  readonly modelName: string;
  readonly modelPath: string;
  /** The budget, as in `macs=0.5`. */
  readonly target: string;
  /** What is removed; not known of a run of the command line. */
  readonly method?: CompressOptions['method'];
  readonly status: RunStatus;
  readonly resumable: boolean;
  /** What went wrong, in plain words. */
  readonly problem?: string;
  /** Seconds spent in each stage so far. */
  readonly seconds: Readonly<Record<string, number>>;
  /** The written model measured against the original, once that was asked for. */
  readonly benchmark?: BenchmarkResult;
}

export type HostToDashboard =
  | { readonly type: 'snapshot'; readonly runId: string; readonly info: RunInfo; readonly view: RunView; readonly texts: Readonly<Record<string, string>> }
  | { readonly type: 'events'; readonly runId: string; readonly events: readonly RunEvent[] }
  | { readonly type: 'info'; readonly runId: string; readonly info: RunInfo }
  | { readonly type: 'gone'; readonly runId: string; readonly texts: Readonly<Record<string, string>> };

export type HostToModelView =
  | { readonly type: 'inspection'; readonly inspection: Inspection; readonly texts: Readonly<Record<string, string>> }
  | { readonly type: 'failed'; readonly message: string; readonly texts: Readonly<Record<string, string>> };

const dashboardActions = ['stop', 'resume', 'openResult', 'openReport', 'compare', 'benchmark'] as const;
export const dashboardMessageSchema = z.discriminatedUnion('type', [
  z.strictObject({ type: z.literal('ready') }),
  z.strictObject({ type: z.literal('action'), action: z.enum(dashboardActions) }),
  z.strictObject({ type: z.literal('export'), episode: z.int().min(0) }),
]);
/** What the dashboard may ask for: a closed list, checked at run time. */
export type DashboardMessage = z.infer<typeof dashboardMessageSchema>;

export const modelViewMessageSchema = z.discriminatedUnion('type', [
  z.strictObject({ type: z.literal('ready') }),
  z.strictObject({ type: z.literal('action'), action: z.enum(['compress', 'showText']) }),
]);
export type ModelViewMessage = z.infer<typeof modelViewMessageSchema>;
