import { describe, expect, it } from 'vitest';
import type { CompressRequest } from '../../../src/engine/protocol.ts';
import { lastSettings, rememberSettings, withLast } from '../../../src/host/lastSettings.ts';
import { MemoryMemento } from '../../support/memoryMemento.ts';

const settings: CompressRequest = { model: '/a.onnx', val: '/images', target: { metric: 'macs', value: 0.5 }, method: 'channels', finetune: 0, episodes: 20 };

describe('the settings of the last run', () => {
  it('are the images, and what was chosen other than the settings say', async () => {
    const memento = new MemoryMemento();
    await rememberSettings(memento, settings, settings);
    expect(lastSettings(memento, '/a.onnx'), 'a setting that changes later counts').toEqual({ val: '/images' });
    await rememberSettings(memento, { ...settings, method: 'weights', target: { metric: 'size', value: 0.5 } }, settings);
    expect(lastSettings(memento, '/a.onnx')).toEqual({ val: '/images', method: 'weights', target: { metric: 'size', value: 0.5 } });
  });

  it('hold that the time was to decide how many episodes there are, where the settings say a number', async () => {
    const memento = new MemoryMemento(), { episodes: _, ...unset } = settings;
    for (const request of [{ ...settings, episodes: undefined }, unset]) {
      await rememberSettings(memento, request, settings);
      expect(withLast(settings, lastSettings(memento, '/a.onnx')!).episodes).toBeUndefined();
      await rememberSettings(memento, request, unset);
      expect(withLast(settings, lastSettings(memento, '/a.onnx')!).episodes, 'a setting that changes later counts').toBe(20);
    }
  });

  it('are those of the same model, or of the last run where the model had none', async () => {
    const memento = new MemoryMemento();
    expect(lastSettings(memento, '/a.onnx')).toBeUndefined();
    await rememberSettings(memento, { ...settings, finetune: 2 }, settings);
    await rememberSettings(memento, { ...settings, model: '/b.onnx', val: '/others' }, settings);
    expect([lastSettings(memento, '/a.onnx'), lastSettings(memento, '/c.onnx')]).toEqual([{ val: '/images', finetune: 2 }, { val: '/others' }]);
  });

  it('hold by what the model is judged where its labels could not, for that model alone', async () => {
    const memento = new MemoryMemento();
    await rememberSettings(memento, { ...settings, metric: 'agreement' }, settings);
    expect([lastSettings(memento, '/a.onnx'), lastSettings(memento, '/b.onnx')]).toEqual([{ val: '/images', metric: 'agreement' }, { val: '/images' }]);
  });
});
