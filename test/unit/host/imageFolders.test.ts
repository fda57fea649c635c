import { symlink } from 'node:fs/promises';
import { dirname, join, relative } from 'node:path';
import { describe, expect, it } from 'vitest';
import { isImageName } from '../../../src/engine/data/imageFile.ts';
import { imageExtensions, imageFolders } from '../../../src/host/imageFolders.ts';
import { temporaryFolder, writeTree } from '../../support/files.ts';

const folder = await temporaryFolder();
let made = 0;
const tree = (...names: string[]) => writeTree(join(folder, String(made++)), Object.fromEntries(names.map((name) => [name, ''])));
const classes = (parent: string, count: number, name = 'x.png') => Array.from({ length: count }, (_, index) => `${parent}/class${index}/${name}`);
/** What is offered where these images were found, by paths in the folder. */
const offered = async (root: string, ...found: string[]) =>
  (await imageFolders(found.map((name) => join(root, name)), [root])).map(({ path, classes: labels, files }) => `${relative(root, path)}: ${labels === undefined ? `${files} files` : `${labels} classes`}`);

describe('folders of images', () => {
  it('have all their classes counted, whichever images were found first', async () => {
    const root = await tree(...classes('val', 100));
    expect(await offered(root, ...classes('val', 40))).toEqual(['val: 100 classes']);
    expect(await offered(root, 'val/class7/x.png')).toEqual(['val: 100 classes']);
  });

  it('are looked for beside one that was found', async () => {
    const root = await tree(...classes('images/val', 3), ...classes('images/train', 4, 'x.AVIF'), 'images/notes/a.txt', 'images/one/class0/x.png', 'images/.cache/a/x.png', 'images/.cache/b/x.png');
    expect(await offered(root, ...classes('images/val', 3))).toEqual(['images/val: 3 classes', 'images/train: 4 classes']);
  });

  it('are flat where no classes are beside them', async () => {
    const root = await tree('photos/a.jpg', 'photos/b.jpg', 'texts/a.txt', 'both/a.png', 'both/c/a.png', 'both/d/a.png');
    expect(await offered(root, 'photos/a.jpg')).toEqual(['photos: 2 files']);
    expect(await offered(root, 'both/c/a.png', 'both/a.png'), 'the engine takes either class folders or images').toEqual(['both/c: 1 files', 'both: 3 files']);
  });

  it('are not taken for classes where they are the parts of a data set, or some hold no images', async () => {
    const root = await tree('images/train/a.png', 'images/val/a.png', 'mixed/a/a.png', 'mixed/b/a.png', 'mixed/labels/a.txt');
    expect(await offered(root, 'images/train/a.png', 'images/val/a.png')).toEqual(['images/train: 1 files', 'images/val: 1 files']);
    expect(await offered(root, 'mixed/a/a.png', 'mixed/b/a.png')).toEqual(['mixed/a: 1 files', 'mixed/b: 1 files']);
  });

  it('of classes leave out what is hidden or of no use, and count links', async () => {
    const root = await tree(...classes('val', 2), 'val/.thumbnails/a.txt', 'val/node_modules/a.txt', 'elsewhere/x.png');
    await symlink(join(root, 'elsewhere'), join(root, 'val/linked'));
    expect(await offered(root, 'val/class0/x.png')).toEqual(['val: 3 classes']);
  });

  it('are not looked for outside of the workspace', async () => {
    const root = await tree(...classes('images/val', 3), ...classes('images/train', 3)), val = join(root, 'images/val');
    expect(await imageFolders([join(val, 'class0/x.png')], [val])).toEqual([{ path: val, classes: 3 }]);
    expect(await imageFolders([join(val, 'class0/x.png')], [join(val, 'class0')])).toEqual([{ path: join(val, 'class0'), files: 1 }]);
  });

  it('may be gone since', async () => { expect(await imageFolders([join(folder, 'gone', 'a.png')], [dirname(folder)])).toEqual([]); });

  it('hold images of the kinds that the engine reads', () => { expect(imageExtensions.filter((extension) => !isImageName(`a.${extension.toUpperCase()}`))).toEqual([]); });
});
