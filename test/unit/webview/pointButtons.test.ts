import { describe, expect, it } from 'vitest';
import type { CellButton } from '../../../src/webview/client/cells.ts';
import { pointButtons } from '../../../src/webview/client/pointButtons.ts';
import type { Point } from '../../../src/webview/client/state.ts';

const candidate: Point = { id: 'episode:12', kind: 'candidate', onFront: false, label: '12', cost: 0.5, accuracy: 0.9, episode: 12, preserve: [0.5], choosable: true };
const uniform: Point = { id: 'baseline:uniform', kind: 'baseline', onFront: false, label: 'uniform', cost: 0.5, accuracy: 0.8, preserve: [0.7], choosable: true };

describe('the buttons of a network', () => {
  const done: unknown[] = [], actions = { choose: (id: string) => { done.push(id); }, write: (episode: number) => { done.push(episode); } };
  const labels = (point: Point, write = true) => pointButtons(point, undefined, write ? actions : { ...actions, write: undefined }).map((cell) => (typeof cell === 'string' ? cell : cell.label));

  it('show its layers and write its model, also of a candidate that others beat', () => {
    const [show, write] = pointButtons(candidate, candidate, actions) as readonly CellButton[];
    expect([show!.label, write!.label]).toEqual(['Show the layers of 12', 'Write the model of episode 12']);
    expect([show!.pressed, (pointButtons(candidate, uniform, actions)[0] as CellButton).pressed]).toEqual([true, false]);
    show!.act();
    write!.act();
    expect(done).toEqual(['episode:12', 12]);
  });

  it('are there where they have an effect', () => {
    expect(labels(uniform)).toEqual(['Show the layers of uniform', '']);
    expect(labels({ ...candidate, choosable: false })).toEqual(['', 'Write the model of episode 12']);
    expect(labels(candidate, false)).toEqual(['Show the layers of 12', '']);
  });
});
