import { describe, expect, it } from 'vitest';
import { onDisk } from '../../../src/host/onDisk.ts';

describe('a model that is handed over', () => {
  it('is taken where it is a file', () => {
    const model = { scheme: 'file', fsPath: '/work/net.onnx' };
    expect(onDisk(model)).toBe(model);
  });

  it.each(['git', 'gitlens', 'vsls'])('is refused where it is of the scheme %s: its path would lead to another version', (scheme) => {
    expect(() => onDisk({ scheme, fsPath: '/work/net.onnx' })).toThrow(/^This version of net\.onnx is not a file on disk: save it/);
  });
});
