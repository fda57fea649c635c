import { create, toBinary } from '@bufbuild/protobuf';
import { AttributeProtoSchema, AttributeProto_AttributeType as Type, type GraphProto, ModelProtoSchema, type TensorProto } from 'onnx-buf';
import { expect, it } from 'vitest';
import { valueInfo } from '../../../src/engine/onnx/buildModel.ts';
import { copyOf } from '../../../src/engine/onnx/copyOf.ts';
import { float32Form } from '../../../src/engine/onnx/float32Form.ts';
import { DataType, dimsOf, floatTensor, floatsOf, withFloats } from '../../../src/engine/onnx/tensor.ts';
import { analyse } from '../../../src/engine/pruning/analysis.ts';
import { applyPlan } from '../../../src/engine/pruning/surgery.ts';
import { uniformKept } from '../../../src/engine/pruning/uniform.ts';
import { inType } from '../../../src/engine/runtime/elementTypes.ts';
import { Session, type Tensor } from '../../../src/engine/runtime/session.ts';
import { type Model, Network } from '../pruning/network.ts';

const half = (tensor: TensorProto): TensorProto => withFloats(copyOf(tensor, { dataType: DataType.FLOAT16 }), dimsOf(tensor), floatsOf(tensor));
/** The constants of a network in half precision, but for some. */
const halve = (net: Network, ...float32: string[]): void => { net.initializers.forEach((tensor, i) => { if (tensor.dataType === DataType.FLOAT && !float32.includes(tensor.name)) net.initializers[i] = half(tensor); }); };

/** Half precision from input to output; float32 are the scales of a Resize and an Exp between casts. Its branches have a constant each. */
function halfNetwork(): Model {
  const net = new Network(5), toType = (name: string, to: number): string => net.op('Cast', [name], { to });
  const x = net.input('x', [2, 3, 8, 8], DataType.FLOAT16), go = net.input('go', [], DataType.BOOL);
  const y = net.op('Clip', [net.conv(x, 3, 8, [3, 3], { bias: false }), net.scalar(0), net.scalar(6)]), z = net.op('Relu', [net.conv(y, 8, 12, [3, 3])]);
  const scales = net.floats([1, 1, 2, 2]), pooled = net.op('GlobalAveragePool', [net.op('Resize', [z, '', scales], { mode: 'nearest' })]);
  const flat = net.op('Flatten', [toType(net.op('Exp', [toType(pooled, DataType.FLOAT)]), DataType.FLOAT16)]), scored = net.op('Gemm', [flat, net.weight([12, 5]), net.weight([5])]);
  const chosen = net.op('If', [go]), branch = (factor: number): GraphProto => {
    const inner = new Network(), constant = inner.op('Constant', [], { value: half(floatTensor('', [1], Float32Array.of(factor))) });
    inner.outputs.push(valueInfo(inner.op('Mul', [scored, constant]), [2, 5], DataType.FLOAT16));
    [...inner.nodes].forEach((node) => { node.output = node.output.map((name) => `${name} x ${factor}`); node.input = node.input.map((name) => (name === constant ? `${name} x ${factor}` : name)); });
    inner.outputs[0]!.name += ` x ${factor}`;
    return inner.model().graph;
  };
  net.nodes.at(-1)!.attribute = ([['then_branch', 0.5], ['else_branch', 2]] as const).map(([name, factor]) => create(AttributeProtoSchema, { name, type: Type.GRAPH, g: branch(factor) }));
  net.outputs.push(valueInfo(chosen, [2, 5], DataType.FLOAT16));
  halve(net, scales);
  return net.model();
}

/** What a model answers, in float32, fed in its own type. */
async function answers(model: Model): Promise<Float32Array> {
  const session = await Session.create(model), x: Tensor = { type: 'float32', dims: [2, 3, 8, 8], data: Float32Array.from({ length: 384 }, (_, i) => Math.sin(i)) };
  const outputs = await session.run({ x: inType(x, session.inputTypes['x']!)!, go: { type: 'bool', dims: [], data: Uint8Array.of(1) } }).finally(() => session.release());
  return inType(Object.values(outputs)[0]!, 'float32')!.data as Float32Array;
}
/** The largest difference, as a fraction of the largest value. */
const distance = (a: Float32Array, b: Float32Array): number => Math.max(...a.map((value, i) => Math.abs(value - b[i]!))) / Math.max(...a.map(Math.abs));
const bytesOf = (model: Model): Uint8Array => toBinary(ModelProtoSchema, model);

it('a float32 network is its own form', () => {
  const net = new Network(), model = net.output(net.linear(net.input('x', ['n', 4]), 4, 3)).model(), form = float32Form(model);
  expect(form.model).toBe(model);
  expect(form.restore(model)).toBe(model);
  expect(form.fileType).toBeUndefined();
});

it('a half-precision network answers in float32 as in its own type, and comes back byte for byte', async () => {
  const model = halfNetwork(), before = bytesOf(model), form = float32Form(model), inFloat32 = await answers(form.model);
  expect(form.fileType).toBe('float16');
  expect([...form.model.graph.initializer.map(({ dataType }) => dataType), ...form.model.graph.node.flatMap(({ attribute }) => attribute.filter(({ name }) => name === 'to').map(({ i }) => Number(i)))].filter((type) => type === DataType.FLOAT16)).toEqual([]);
  expect(distance(inFloat32, await answers(model))).toBeLessThan(5e-3);
  expect(bytesOf(form.restore(form.model))).toEqual(before);
  expect(bytesOf(model)).toEqual(before);
});

it('what is made of the form gets the types of the file, constants that are new included', async () => {
  const form = float32Form(halfNetwork()), analysis = await analyse(form.model), pruned = applyPlan(form.model, analysis, uniformKept(analysis, 0.5));
  const conv = pruned.graph.node.find(({ opType, input }) => opType === 'Conv' && input.length === 2)!, withBias = copyOf(pruned, { graph: copyOf(pruned.graph, {
    initializer: [...pruned.graph.initializer, floatTensor('new bias', [4], Float32Array.of(0.1, 0.2, 0.3, 0.4))], node: pruned.graph.node.map((node) => (node === conv ? copyOf(node, { input: [...node.input, 'new bias'] }) : node)),
  }) });
  const restored = form.restore(withBias);
  expect(restored.graph.initializer.find(({ name }) => name === 'new bias')!.dataType).toBe(DataType.FLOAT16);
  expect(distance(await answers(withBias), await answers(restored))).toBeLessThan(5e-3);
});

it('weights that are stored in half precision and cast are read as they are, under their own names, and stored and cast again', async () => {
  const net = new Network(5), wide = (name: string): string => net.op('Cast', [name], { to: DataType.FLOAT }), x = net.input('x', [2, 3, 8, 8]);
  const hidden = net.op('Relu', [net.op('Conv', [x, wide(net.weight([12, 3, 3, 3])), wide(net.weight([12]))], { pads: [1, 1, 1, 1] })]);
  net.outputs.push(valueInfo(net.op('Gemm', [net.op('Flatten', [net.op('GlobalAveragePool', [hidden])]), wide(net.weight([12, 5]))]), [2, 5]));
  halve(net);
  net.input('go', [], DataType.BOOL);
  const model = net.model(), { model: plain, restore, fileType } = float32Form(model), analysis = await analyse(plain);
  expect(fileType).toBe('float16');
  expect(plain.graph.node.map(({ opType }) => opType)).not.toContain('Cast');
  expect(analysis.layers.map(({ weight }) => weight)).toEqual((await analyse(model)).layers.map(({ weight }) => weight));
  expect(distance(await answers(model), await answers(restore(plain)))).toBe(0);
  const pruned = applyPlan(plain, analysis, uniformKept(analysis, 0.5)), restored = restore(pruned);
  expect(restored.graph.initializer.map(({ dataType }) => dataType)).toEqual([DataType.FLOAT16, DataType.FLOAT16, DataType.FLOAT16]);
  expect(restored.graph.node.filter(({ opType }) => opType === 'Cast')).toHaveLength(3);
  expect(distance(await answers(pruned), await answers(restored))).toBeLessThan(5e-3);
});

it('weights that are cast to half precision count as such, and bfloat16, which no processor need run, does not', () => {
  const cast = new Network(), x = cast.input('x', ['n', 4], DataType.FLOAT16), y = cast.op('MatMul', [x, cast.op('Cast', [cast.weight([4, 3])], { to: DataType.FLOAT16 })]);
  cast.outputs.push(valueInfo(y, ['n', 3], DataType.FLOAT16));
  expect(float32Form(cast.model()).fileType).toBe('float16');
  const brain = new Network();
  brain.output(brain.op('MatMul', [brain.input('x', ['n', 4], DataType.BFLOAT16), brain.weight([4, 3])]));
  brain.initializers[0] = withFloats(copyOf(brain.initializers[0]!, { dataType: DataType.BFLOAT16 }), [4, 3], floatsOf(brain.initializers[0]!));
  expect(float32Form(brain.model()).fileType).toBeUndefined();
});
