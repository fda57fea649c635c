/** Before the first story: finds or installs what the stories drive, once, and says why they are skipped where that is impossible. */
import type { TestProject } from 'vitest/node';
import { type WorkbenchPrograms, ensureWorkbench } from '../../../scripts/tools.mjs';

declare module 'vitest' {
  interface ProvidedContext { readonly programs: WorkbenchPrograms | { readonly whyNot: string } }
}

function find(): WorkbenchPrograms | { readonly whyNot: string } {
  if (process.env['AUTO_COMPRESS_STORIES'] === '0') return { whyNot: 'AUTO_COMPRESS_STORIES=0 leaves them out' };
  try { return ensureWorkbench(); } catch (error) { return { whyNot: (error as Error).message }; }
}

export default function setup(project: TestProject): () => void {
  const programs = find();
  project.provide('programs', programs);
  // said last, where it is read
  return () => { if ('whyNot' in programs) console.warn(`\nThe tests in a real VS Code were SKIPPED: ${programs.whyNot}.\n`); };
}
