import { create } from '@bufbuild/protobuf';
import { AttributeProtoSchema, AttributeProto_AttributeType, FunctionProtoSchema, type FunctionProto, OperatorSetIdProtoSchema } from 'onnx-buf';
import { describe, expect, it } from 'vitest';
import { makeNode } from '../../../src/engine/onnx/attributes.ts';
import { inlineFunctions } from '../../../src/engine/onnx/inlineFunctions.ts';
import { floatTensor } from '../../../src/engine/onnx/tensor.ts';
import { syntheticInput } from '../../../src/engine/runtime/shapes.ts';
import { relativeDifference } from '../pruning/maskedEquivalence.ts';
import { type Model, Network, expectExactPruning } from '../pruning/network.ts';

const imports = [['', 17], ['local', 1]].map(([domain, version]) => create(OperatorSetIdProtoSchema, { domain: domain as string, version: BigInt(version!) }));

/** local.Dense(x, weight, bias) with attribute alpha (0.1 by default), which calls local.Act. */
function dense(): FunctionProto[] {
  const leaky = makeNode('LeakyRelu', ['h'], ['y']);
  leaky.attribute = [create(AttributeProtoSchema, { name: 'alpha', refAttrName: 'slope', type: AttributeProto_AttributeType.FLOAT })];
  const call = makeNode('Act', ['sum'], ['out'], {}, '', 'local');
  call.attribute = [create(AttributeProtoSchema, { name: 'slope', refAttrName: 'alpha', type: AttributeProto_AttributeType.FLOAT })];
  return [
    create(FunctionProtoSchema, { domain: 'local', name: 'Act', input: ['h'], output: ['y'], attribute: ['slope'], node: [leaky], opsetImport: imports.slice(0, 1) }),
    create(FunctionProtoSchema, {
      domain: 'local', name: 'Dense', input: ['x', 'weight', 'bias'], output: ['out'], opsetImport: imports, node: [makeNode('MatMul', ['x', 'weight'], ['product']), makeNode('Add', ['product', 'bias'], ['sum']), call],
      attributeProto: [create(AttributeProtoSchema, { name: 'alpha', type: AttributeProto_AttributeType.FLOAT, f: 0.1 })],
    }),
  ];
}

function network(): Model {
  const net = new Network(), layer = (x: string, from: number, to: number, attributes = {}): string => {
    const y = net.op('Dense', [x, net.weight([from, to]), net.weight([to])], attributes);
    net.nodes.at(-1)!.domain = 'local';
    return y;
  };
  net.output(layer(layer(net.input('x', ['batch', 4]), 4, 8, { alpha: { float: 0.3 } }), 8, 3));
  return { ...net.model(), opsetImport: imports, functions: dense() };
}

describe('inlineFunctions', () => {
  it('spells calls out, nested ones and attributes included, and computes the same', async () => {
    const model = network(), inlined = inlineFunctions(model);
    expect(inlined.graph.node.map(({ opType }) => opType)).toEqual(['MatMul', 'Add', 'LeakyRelu', 'MatMul', 'Add', 'LeakyRelu']);
    expect(inlined.graph.node.filter(({ opType }) => opType === 'LeakyRelu').map(({ attribute }) => attribute[0]?.f.toFixed(1))).toEqual(['0.3', '0.1']);
    expect(await relativeDifference(model, inlined, { x: syntheticInput(model.graph.input[0]!, [2, 4]) })).toBeLessThan(1e-6);
    const { analysis } = await expectExactPruning(inlined, { x: [2, 4] });
    expect(analysis.groups.map(({ channels }) => channels)).toEqual([8]);
  });

  it('names a function that calls itself', () => {
    const model = network();
    model.functions[0]!.node = [makeNode('Dense', ['h', 'h', 'h'], ['y'], {}, '', 'local')];
    expect(() => inlineFunctions(model)).toThrow('The function local.Dense of the model calls itself.');
  });

  // found by bench/faults.ts: a few hundred bytes that asked for minutes and gigabytes
  const tower = (levels: number, fan: number, leaf: FunctionProto['node']): FunctionProto[] => Array.from({ length: levels }, (_, level) => create(FunctionProtoSchema, {
    domain: 'local', name: level === 0 ? 'Dense' : `f${level}`, input: ['x'], output: ['y'], opsetImport: imports,
    node: level === levels - 1 ? leaf : Array.from({ length: fan }, (_call, i) => makeNode(`f${level + 1}`, ['x'], [i === 0 ? 'y' : `y${i}`], {}, '', 'local')),
  }));
  it.each([
    ['multiply without end', tower(40, 10, []), 'The functions of the model stand for more than 200000 calls.'],
    ['multiply nodes', tower(9, 10, [1, 2, 3].map((i) => makeNode('Relu', ['x'], [`y${i}`]))), 'The functions of the model stand for more than 200000 nodes.'],
    ['nest without end', tower(5000, 1, [makeNode('Relu', ['x'], ['y'])]), 'The functions of the model call one another more than 100 deep.'],
    ['multiply a tensor', tower(6, 10, [makeNode('Constant', [], ['y'], { value: floatTensor('', [2 ** 18], new Float32Array(2 ** 18)) })]), 'The functions of the model repeat more than 268435456 bytes of tensors.'],
  ])('refuses functions that %s', (_title, functions, message) => {
    expect(() => inlineFunctions({ ...network(), functions })).toThrow(message);
  });
});
