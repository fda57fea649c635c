import { create } from '@bufbuild/protobuf';
import { AttributeProtoSchema, AttributeProto_AttributeType as Type, type AttributeProto } from 'onnx-buf';
import { describe, expect, it } from 'vitest';
import { tensorConstants } from '../../../src/engine/onnx/constantNodes.ts';
import { GraphView } from '../../../src/engine/onnx/graphView.ts';
import { dimsOf, floatsOf, intsOf } from '../../../src/engine/onnx/tensor.ts';
import { Network, expectExactPruning } from '../pruning/network.ts';

const constant = (net: Network, attribute: Partial<AttributeProto> & { name: string }): string => {
  const name = net.op('Constant', []);
  net.nodes.at(-1)!.attribute = [create(AttributeProtoSchema, attribute as never)];
  return name;
};

describe('Constant nodes', () => {
  it('become tensors, whichever form their numbers have; other models stay as they are', () => {
    const net = new Network();
    const names = [
      constant(net, { name: 'value_int', type: Type.INT, i: 7n }), constant(net, { name: 'value_ints', type: Type.INTS, ints: [2n ** 63n - 1n, -3n] }),
      constant(net, { name: 'value_float', type: Type.FLOAT, f: 0.5 }), constant(net, { name: 'value_floats', type: Type.FLOATS, floats: [1.5, 2] }), constant(net, { name: 'value_string', type: Type.STRING, s: new Uint8Array(1) }),
    ];
    const model = net.model(), changed = tensorConstants(model), { constants } = new GraphView(changed.graph);
    expect(names.map((name) => constants.get(name)).map((tensor) => tensor && dimsOf(tensor))).toEqual([[], [2], [], [2], undefined]);
    expect([intsOf(constants.get(names[0]!)!), intsOf(constants.get(names[1]!)!)]).toEqual([[7], [2 ** 63, -3]]);
    expect([...floatsOf(constants.get(names[2]!)!), ...floatsOf(constants.get(names[3]!)!)]).toEqual([0.5, 1.5, 2]);
    expect(new GraphView(model.graph).constants.size).toBe(0);
    const plain = new Network();
    plain.output(plain.linear(plain.input('x', ['batch', 4]), 4, 3));
    const untouched = plain.model();
    expect(tensorConstants(untouched)).toBe(untouched);
  });

  it('that were lists of numbers say at which channels a Gather reads', async () => {
    const net = new Network(), x = net.input('x', ['batch', 5, 4]), positions = constant(net, { name: 'value_ints', type: Type.INTS, ints: [3n, 1n, 5n] });
    net.output(net.linear(net.op('Gather', [net.linear(x, 4, 8), positions], { axis: 2 }), 3, 2));
    const { analysis } = await expectExactPruning(tensorConstants(net.model()), { x: [2, 5, 4] });
    expect(analysis.groups.map(({ channels }) => channels)).toEqual([7]); // one of the three that are read stays
  });
});
