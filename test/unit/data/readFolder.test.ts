import { chmod } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { findIdxImages } from '../../../src/engine/data/idx.ts';
import { openDataset } from '../../../src/engine/data/openDataset.ts';
import { readFolder } from '../../../src/engine/data/readFolder.ts';
import { InputError } from '../../../src/engine/errors.ts';
import { temporaryFolder, writeTree } from '../../support/files.ts';

const folder = await temporaryFolder();
const failureOf = (work: Promise<unknown>): Promise<unknown> => work.then(() => undefined, (error: unknown) => error);

it('says which folder can\'t be read', async () => {
  const path = await writeTree(join(folder, 'tree'), { 'a/b/x.txt': '', 'y.txt': '' });
  expect((await readFolder(path)).map(({ name }) => name).sort()).toEqual(['a', 'y.txt']);
  expect((await readFolder(path, { recursive: true })).map(({ name }) => name).sort()).toEqual(['a', 'b', 'x.txt', 'y.txt']);
  for (const read of [readFolder, (at: string) => readFolder(at, { recursive: true }), findIdxImages]) {
    const failure = await failureOf(read(join(path, 'y.txt')));
    expect(failure).toBeInstanceOf(InputError);
    expect((failure as Error).message).toMatch(/^Can't read the folder .*y\.txt: .*\.$/);
  }
});

it.skipIf(process.platform === 'win32' || process.getuid?.() === 0)('names the data\'s folder that may not be listed, itself or below a class folder (skipped for root, who may list all)', async () => {
  const path = await writeTree(join(folder, 'data'), { 'cat/inner/x.png': '' });
  for (const closed of [join(path, 'cat', 'inner'), path]) {
    await chmod(closed, 0o300);
    const failure = await failureOf(openDataset(path));
    await chmod(closed, 0o700);
    expect(failure).toBeInstanceOf(InputError);
    expect((failure as Error).message).toBe(`Can't read the folder ${closed}: permission denied.`);
  }
});
