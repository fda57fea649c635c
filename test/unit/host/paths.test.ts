import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { absoluteIn, foundIn, jsonOrAbsoluteIn } from '../../../src/host/paths.ts';
import { temporaryFolder, writeTree } from '../../support/files.ts';

describe('paths of settings and tasks', () => {
  it.each([['images', join('/work', 'images')], ['../train.npz', join('/', 'train.npz')], ['/data/images', '/data/images'], ['', '']])('reads %j', (path, absolute) => { expect(absoluteIn('/work', path)).toBe(absolute); });
  it.each([['recipe.json', join('/work', 'recipe.json')], ['{"scale": 1}', '{"scale": 1}'], ['', '']])('reads %j where it may be JSON', (text, meant) => { expect(jsonOrAbsoluteIn('/work', text)).toBe(meant); });
});

describe('paths of assistants', async () => {
  const root = await writeTree(await temporaryFolder(), { 'a/model.onnx': '', 'a/b/both.onnx': '', 'b/both.onnx': '', 'b/images/1.png': '', 'b/b/both.onnx': '' });
  const named = (...names: string[]) => names.map((name) => ({ name, path: join(root, name) }));
  it.each([
    ['model.onnx', 'a/model.onnx'], ['images', 'b/images'], ['b/images', 'b/images'], ['./b/images/1.png', 'b/images/1.png'], ['b', 'b'], ['a/model.onnx', 'a/model.onnx'],
    ['b/both.onnx', 'b/both.onnx'], ['bb/none.onnx', 'a/bb/none.onnx'], ['b/none.onnx', 'b/none.onnx'],
  ])('find %j in one of several folders', async (path, found) => { expect(await foundIn(named('a', 'b'), path)).toBe(join(root, found)); });
  it.each([['b/both.onnx', 'b/b/both.onnx'], ['b/images', 'b/images'], ['none.onnx', 'b/none.onnx']])('find %j in the only folder', async (path, found) => { expect(await foundIn(named('b'), path)).toBe(join(root, found)); });
  it('are taken as they are where they are absolute, and lead nowhere without a folder', async () => {
    expect([await foundIn([], join(root, 'x')), await foundIn([], 'x'), await foundIn(named('a'), '')]).toEqual([join(root, 'x'), undefined, '']);
  });
});
