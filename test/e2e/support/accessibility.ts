import { readFileSync } from 'node:fs';
import type { Frame } from 'playwright-core';

const axe = readFileSync('node_modules/axe-core/axe.min.js', 'utf8');

/** What axe-core finds wrong in a webview, one line each: rule, help, and the first element. */
export async function seriousViolations(frame: Frame): Promise<readonly string[]> {
  await frame.evaluate(axe); // by the debugger, as the page's own policy forbids foreign scripts
  const { violations } = await frame.evaluate<{ violations: { id: string; help: string; nodes: { html: string; failureSummary?: string }[] }[] }>("axe.run(document, { resultTypes: ['violations'] })");
  return violations.map(({ id, help, nodes }) => `${id}: ${help}: ${nodes[0]?.html.slice(0, 200)} ${nodes[0]?.failureSummary ?? ''}`);
}
