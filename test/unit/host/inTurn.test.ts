import { describe, expect, it } from 'vitest';
import { CancelledError, InputError } from '../../../src/engine/errors.ts';
import { inTurn } from '../../../src/host/inTurn.ts';

describe('models that are selected together', () => {
  const told: unknown[] = [], done: string[] = [];
  const work = (name: string) => {
    if (name === 'bad') return Promise.reject(new InputError('no model'));
    if (name === 'left') return Promise.reject(new CancelledError());
    done.push(name);
    return Promise.resolve();
  };

  it('each have their turn: a bad one is told, and one that is cancelled ends all', async () => {
    await expect(inTurn(['a', 'bad', 'b', 'left', 'c'], work, (error) => told.push(error))).rejects.toThrow(CancelledError);
    expect(done).toEqual(['a', 'b']);
    expect(told).toEqual([new InputError('no model')]);
  });
});
