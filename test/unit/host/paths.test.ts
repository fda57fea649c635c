import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { absoluteIn, jsonOrAbsoluteIn } from '../../../src/host/paths.ts';

describe('paths of settings and tasks', () => {
  it.each([['images', join('/work', 'images')], ['../train.npz', join('/', 'train.npz')], ['/data/images', '/data/images'], ['', '']])('reads %j', (path, absolute) => { expect(absoluteIn('/work', path)).toBe(absolute); });
  it.each([['recipe.json', join('/work', 'recipe.json')], ['{"scale": 1}', '{"scale": 1}'], ['', '']])('reads %j where it may be JSON', (text, meant) => { expect(jsonOrAbsoluteIn('/work', text)).toBe(meant); });
});
