/** Where runs are remembered between windows: a list of records in the workspace's state, and the events of each run in a file of its own, by the run's UUID. */
import { appendFile, mkdir, readFile, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { type BenchmarkResult, type CompressRequest, type Report, type RunEvent, parseReport } from '../engine/protocol.ts';
import { type ListedOutcome, type RunStatus, type RunView, applyEvents, emptyRunView } from '../webview/client/state.ts';
import { isThere } from './paths.ts';

/** What is known of a run without reading its history. */
export interface RunRecord {
  readonly runId: string;
  readonly modelPath: string;
  /** As in `macs=0.5`. */
  readonly target: string;
  readonly request?: CompressRequest;
  readonly createdMs: number;
  status: RunStatus;
  runDir?: string;
  out?: string;
  /** SHA-256 of the file that it wrote there, once it did. */
  outSha256?: string;
  /** What went wrong, in plain words. */
  problem?: string;
  /** Seconds spent in each stage since it began, or began anew. */
  seconds: Record<string, number>;
  /** Figures of a finished run for lists; see Outcome. */
  outcome?: ListedOutcome;
  /** The written model measured against the original. */
  benchmark?: BenchmarkResult;
}

/** The part of vscode.Memento that is needed here. */
export interface Memento { get<T>(key: string, fallback: T): T; update(key: string, value: unknown): PromiseLike<void> }

const key = 'autoCompress.runs';
/** Bytes; one of 100,000 episodes in a large network has some 100 MB. */
const longestReport = 256 * 2 ** 20;

export class RunStore {
  private readonly memento: Memento;
  private readonly folder: string;
  /** Appends go one after another, so that the history stays in order. */
  private pending: Promise<void>;

  /**
   * @param folder of histories, for all workspaces: a list that goes along when a workspace is saved as another finds them there
   * @param former one that a workspace had for itself; histories of its list that still stand there are taken over
   */
  constructor(memento: Memento, folder: string, former?: string) {
    this.memento = memento;
    this.folder = folder;
    this.pending = mkdir(folder, { recursive: true }).then(() => (former === undefined ? undefined : this.takeOver(former)));
  }

  records(): RunRecord[] { return this.memento.get<RunRecord[]>(key, []); }
  async saveRecords(records: readonly RunRecord[]): Promise<void> { await this.memento.update(key, records); }

  /** Adds an event to the run's history. */
  append(runId: string, event: RunEvent): Promise<void> {
    this.pending = this.pending.then(() => appendFile(this.historyPath(runId), `${JSON.stringify(event)}\n`)).catch(() => undefined);
    return this.pending;
  }

  /** The run as its history tells it; from its report where there is no history (a run of the command line). A cut last line is left out. */
  async loadView({ runId, runDir }: RunRecord): Promise<RunView> {
    await this.pending;
    const history = await readFile(this.historyPath(runId), 'utf8').catch(() => '');
    const view = applyEvents(emptyRunView, history.split('\n').map(parseLine).filter((event) => event !== undefined));
    if (view !== emptyRunView || runDir === undefined) return view;
    const report = await readReport(runDir);
    return report ? viewOfReport(report, runDir) : view;
  }

  async forget(runId: string): Promise<void> { await this.pending; await rm(this.historyPath(runId), { force: true }); }

  private async takeOver(former: string): Promise<void> {
    for (const { runId } of this.records()) {
      const path = this.historyPath(runId);
      if (!await isThere(path)) await rename(this.historyPath(runId, former), path).catch(() => undefined); // most have none there
    }
  }

  private historyPath(runId: string, folder = this.folder): string { return join(folder, `${runId}.ndjson`); }
}

function parseLine(line: string): RunEvent | undefined {
  try { return line === '' ? undefined : JSON.parse(line) as RunEvent; } catch { return undefined; }
}

const reportPath = (runDir: string) => join(runDir, 'report.json');
/** The report of a finished run; undefined where there is none, or what is there is no report. */
export async function readReport(runDir: string): Promise<Report | undefined> {
  const path = reportPath(runDir);
  try { return (await stat(path)).size <= longestReport ? parseReport(JSON.parse(await readFile(path, 'utf8'))) : undefined; } catch { return undefined; }
}

/** When the report was written; 0 where there is none. */
export const reportMs = (runDir: string): Promise<number> => stat(reportPath(runDir)).then(({ mtimeMs }) => mtimeMs, () => 0);

export function viewOfReport(report: Report, runDir: string): RunView {
  const best = report.writtenEpisode ?? [...report.candidates].sort((a, b) => b.reward - a.reward)[0]?.episode;
  return {
    ...emptyRunView, runDir, out: report.out, report, candidates: report.candidates,
    baselines: (report.searchedBaselines ?? []).map((baseline) => ({ ...baseline, preserve: [] })), episodesPlanned: report.episodes, ...(best === undefined ? {} : { bestEpisode: best }),
  };
}
