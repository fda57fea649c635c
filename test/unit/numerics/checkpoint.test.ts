import { expect, it } from 'vitest';
import { decodeCheckpoint, encodeCheckpoint } from '../../../src/engine/numerics/checkpoint.ts';

it('gives back what was saved, and refuses bytes that are damaged or of another kind', () => {
  const data = { done: 3 }, arrays = { weights: Float32Array.of(1, -2, 0.5), best: new Float32Array(0) }, bytes = encodeCheckpoint('fine-tuning', data, arrays);
  expect(decodeCheckpoint('fine-tuning', bytes)).toEqual({ data, arrays });
  for (const wrong of [bytes.subarray(0, bytes.length - 5), new Uint8Array(3), encodeCheckpoint('agent', data, arrays)]) expect(() => decodeCheckpoint('fine-tuning', wrong)).toThrow(/damaged/);
});
