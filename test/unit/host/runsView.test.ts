import { join } from 'node:path';
import { expect, it, vi } from 'vitest';
import type { RunManager } from '../../../src/host/runManager.ts';
import { RunsView } from '../../../src/host/runsView.ts';

const folders = Array.from({ length: 1000 }, (_, index) => join('/work', '.auto-compress', 'net', String(index)));
vi.mock('vscode', () => ({
  EventEmitter: class { fire(): void { /* nobody listens */ } },
  workspace: { isTrusted: true, findFiles: (_include: string, _exclude: null, most = Infinity) => Promise.resolve(folders.slice(0, most).map((folder) => ({ fsPath: join(folder, 'report.json') }))) },
}));

it('looks for runs in all folders, however many are known already', async () => {
  const adopt = vi.fn();
  await new RunsView({ on: vi.fn(), adopt } as unknown as RunManager).refresh();
  expect(adopt).toHaveBeenCalledExactlyOnceWith(folders);
});
