import { describe, expect, it } from 'vitest';
import { attribute } from '../../../src/engine/onnx/attributes.ts';
import { int64Tensor, intsOf } from '../../../src/engine/onnx/tensor.ts';

describe('int64', () => {
  const most = 2n ** 63n - 1n, least = -(2n ** 63n);

  it('keeps the largest and the smallest number through reading and writing, in tensors and attributes', () => {
    const tensor = int64Tensor('ends', [4], [Number(most), Number(least), Infinity, -5]), written = new BigInt64Array(tensor.rawData.slice().buffer);
    expect([...written]).toEqual([most, least, most, -5n]);
    expect([...new BigInt64Array(int64Tensor('again', [4], intsOf(tensor)).rawData.slice().buffer)]).toEqual([...written]);
    expect(attribute('ends', [Number(most), Number(least), 7]).ints).toEqual([most, least, 7n]);
    expect(attribute('end', Number(most)).i).toBe(most);
  });
});
