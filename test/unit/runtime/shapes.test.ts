import { create } from '@bufbuild/protobuf';
import { TypeProto_SequenceSchema, TypeProtoSchema, ValueInfoProtoSchema } from 'onnx-buf';
import { describe, expect, it } from 'vitest';
import { syntheticInput } from '../../../src/engine/runtime/shapes.ts';

describe('made-up inputs', () => {
  it('are refused by name and kind where no tensor is asked for', () => {
    const input = create(ValueInfoProtoSchema, { name: 'tokens', type: create(TypeProtoSchema, { value: { case: 'sequenceType', value: create(TypeProto_SequenceSchema) } }) });
    expect(() => syntheticInput(input, [])).toThrow('Graph input "tokens" is a sequence and not a tensor, which is not supported.');
  });
});
