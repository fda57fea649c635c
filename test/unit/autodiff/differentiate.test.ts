import { create } from '@bufbuild/protobuf';
import { AttributeProtoSchema, AttributeProto_AttributeType as Type, GraphProtoSchema } from 'onnx-buf';
import { describe, expect, it } from 'vitest';
import { Random } from '../../../src/engine/numerics/random.ts';
import { makeNode } from '../../../src/engine/onnx/attributes.ts';
import { valueInfo } from '../../../src/engine/onnx/buildModel.ts';
import type { GraphBuilder } from '../../../src/engine/onnx/graphBuilder.ts';
import { DataType } from '../../../src/engine/onnx/tensor.ts';
import { expectClose, makeCase, ourGradients } from './oracle.ts';

const random = new Random(13), x = { x: { dims: [3, 4] } };
const cast = (build: GraphBuilder, value: string, to: number): string => build.op('Cast', [value], { to });

/** An If whose branches read a value of the graph around them, the usual form of exporters. */
function conditional(build: GraphBuilder, read: string): string {
  const result = build.op('If', [build.op('Greater', [build.op('Size', [read]), build.scalarInt(0)])]);
  const branch = (name: string, opType: string): ReturnType<typeof create<typeof AttributeProtoSchema>> => create(AttributeProtoSchema, { name, type: Type.GRAPH, g: create(GraphProtoSchema, { name, node: [makeNode(opType, [read], [`${name}/y`])], output: [valueInfo(`${name}/y`)] }) });
  build.nodes.at(-1)!.attribute.push(branch('then_branch', 'Tanh'), branch('else_branch', 'Identity'));
  return result;
}

describe('differentiate', () => {
  it('names a node whose subgraphs read what is differentiated, though none of its inputs does', async () => {
    const graph = await makeCase(random, x, (build, [value]) => { const read = build.mul(value!, 2); return build.add(conditional(build, read), read); });
    await expect(ourGradients(graph)).rejects.toThrow(/If.*no gradient rule/);
  });

  it('takes a node whose subgraphs read other values for a constant', async () => {
    const graph = await makeCase(random, x, (build, [value]) => build.mul(value!, conditional(build, build.floats([4], Float32Array.of(1, 2, 3, 4)))));
    expectClose(await ourGradients(graph), { x: graph.seed.map((seed, i) => seed * Math.tanh(1 + i % 4)) });
  });

  it('names a node whose further outputs the loss depends on', async () => {
    const graph = await makeCase(random, x, (build, [value]) => { const [y, mean] = build.ops('LayerNormalization', [value!, build.floats([4], new Float32Array(4).fill(1))], 2) as [string, string]; return build.add(y, mean); });
    await expect(ourGradients(graph)).rejects.toThrow(/LayerNormalization.*secondary output/);
  });

  it.each([
    ['whole numbers', (build: GraphBuilder, value: string): string => cast(build, value, DataType.INT32)],
    ['whole numbers that are reckoned with', (build: GraphBuilder, value: string): string => { const whole = cast(build, value, DataType.INT64); return build.op('Div', [build.op('Mul', [whole, whole]), build.scalarInt(3)]); }],
    ['truth values', (build: GraphBuilder, value: string): string => cast(build, value, DataType.BOOL)],
  ])('lets no gradient through %s', async (_title, write) => {
    const graph = await makeCase(random, x, (build, [value]) => build.add(build.mul(value!, 2), build.mul(cast(build, write(build, value!), DataType.FLOAT), 50)));
    expectClose(await ourGradients(graph), { x: graph.seed.map((seed) => 2 * seed) });
  });

  it('refuses a remainder, whose derivative is not zero', async () => {
    const graph = await makeCase(random, x, (build, [value]) => build.op('Mod', [value!, 0.7], { fmod: 1 }));
    await expect(ourGradients(graph)).rejects.toThrow(/Mod.*no gradient rule/);
  });
});
