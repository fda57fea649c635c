/** Where the files of a run stand whose folder was moved with them: a project that was renamed, or copied to another computer. Pure: no VS Code. */
import { basename, dirname, join } from 'node:path';
import type { Report } from '../engine/protocol.ts';
import { isThere } from './paths.ts';
import { sha256Of } from './writers.ts';

/** The report with the places of its model and its output: as they were written down or, where there is nothing any more, beside the run folder's `.auto-compress` when the same bytes stand there. */
export async function withMovedFiles(report: Report, runDir: string): Promise<Report> {
  const runs = dirname(dirname(runDir));
  if (basename(runs) !== '.auto-compress') return report;
  const placeOf = async (path: string, sha256: string | undefined) => {
    const name = path.split(/[\\/]/).at(-1)!, moved = join(dirname(runs), name); // the path may be another system's
    return sha256 !== undefined && !await isThere(path) && await sha256Of(moved) === sha256 ? moved : path;
  };
  const { model, out, outSha256 } = report;
  return { ...report, model: { ...model, path: await placeOf(model.path, model.sha256) }, out: await placeOf(out, outSha256) };
}
