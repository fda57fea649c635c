import { create } from '@bufbuild/protobuf';
import * as tf from '@tensorflow/tfjs';
import { AttributeProtoSchema, type GraphProto, type ModelProto, NodeProtoSchema, type TensorProto, TensorProtoSchema } from 'onnx-buf';
import { expect } from 'vitest';
import { differentiate, gradientName } from '../../../src/engine/autodiff/differentiate.ts';
import type { Random } from '../../../src/engine/numerics/random.ts';
import { valueInfo } from '../../../src/engine/onnx/buildModel.ts';
import { GraphBuilder } from '../../../src/engine/onnx/graphBuilder.ts';
import { DataType, floatsOf } from '../../../src/engine/onnx/tensor.ts';
import { Session, type Tensor, doubles, floats } from '../../../src/engine/runtime/session.ts';

type Model = ModelProto & { graph: GraphProto };
/** A random float32 input; `low` and `high` keep it away from kinks and poles. */
export interface InputSpec { readonly dims: readonly number[]; readonly low?: number; readonly high?: number }
export type Inputs = Readonly<Record<string, InputSpec>>;
export type Values = Readonly<Record<string, Float32Array>>;

export const sizeOf = (dims: readonly number[]): number => dims.reduce((a, b) => a * b, 1);

/** Random values, no two nearer than `gap` to zero, so that a kink there does not spoil finite differences. */
export function randomValues(random: Random, count: number, low: number, high: number, gap = 0.02): Float32Array {
  return Float32Array.from({ length: count }, () => {
    for (;;) { const value = random.uniform(low, high); if (Math.abs(value) > gap) return value; }
  });
}

/** A graph with the given inputs whose loss is the sum of the output weighted by random numbers: its gradient exercises every element. */
export interface Case { readonly model: Model; readonly inputs: Inputs; readonly values: Values; readonly seed: Float32Array; readonly outputDims: readonly number[] }

export async function makeCase(random: Random, inputs: Inputs, write: (build: GraphBuilder, names: string[]) => string, opset?: number): Promise<Case> {
  const build = new GraphBuilder();
  build.model().opsetImport[0]!.version = BigInt(opset ?? 17);
  const names = Object.entries(inputs).map(([name, { dims }]) => build.input(name, dims));
  const y = write(build, names);
  const values = Object.fromEntries(Object.entries(inputs).map(([name, { dims, low, high }]) => [name, randomValues(random, sizeOf(dims), low ?? -1.5, high ?? 1.5)]));
  const probe = new GraphBuilder(build.model());
  probe.outputs.push(valueInfo(y, []));
  probe.outputs.at(-1)!.type = undefined!;
  const session = await Session.create(probe.model(), { optimization: 'disabled' });
  const outputDims = (await session.run(feedsOf(inputs, values), [y]))[y]!.dims;
  await session.release();
  const seed = randomValues(random, sizeOf(outputDims), -1, 1);
  const loss = build.op('ReduceSum', [build.mul(y, build.floats(outputDims, seed))], { keepdims: 0 });
  build.output(loss, 'loss', []);
  return { model: build.model(), inputs, values, seed, outputDims };
}

const feedsOf = (inputs: Inputs, values: Values): Record<string, Tensor> => Object.fromEntries(Object.entries(inputs).map(([name, { dims }]) => [name, floats(values[name]!, dims)]));

/** Gradients of the loss by every input, as the project computes them. @param block @see DifferentiateOptions */
export async function ourGradients({ model, inputs, values }: Case, wrt = Object.keys(inputs), block = 0): Promise<Values> {
  const withGradients = await differentiate(model, { loss: 'loss', wrt, inputShapes: Object.fromEntries(Object.entries(inputs).map(([name, { dims }]) => [name, dims])), block });
  const session = await Session.create(withGradients);
  try {
    const result = await session.run(feedsOf(inputs, values));
    return Object.fromEntries(wrt.map((name) => {
      const gradient = result[gradientName(name)]!;
      expect(gradient.dims, `shape of the gradient by ${name}`).toEqual(inputs[name]!.dims);
      return [name, gradient.data as Float32Array];
    }));
  } finally { await session.release(); }
}

/** Central differences of the same graph in double precision. */
export async function finiteDifferences({ model, inputs, values }: Case, wrt = Object.keys(inputs), step = 1e-5): Promise<Values> {
  const session = await Session.create(inDoublePrecision(model), { optimization: 'disabled', threads: 1 });
  try {
    const points = Object.fromEntries(Object.entries(values).map(([name, data]) => [name, Float64Array.from(data)]));
    const loss = async (): Promise<number> => {
      const feeds = Object.fromEntries(Object.entries(points).map(([name, data]) => [name, doubles(data, inputs[name]!.dims)]));
      return Number((await session.run(feeds, ['loss']))['loss']!.data[0]);
    };
    const gradients: Record<string, Float32Array> = {};
    for (const name of wrt) {
      const point = points[name]!, gradient = new Float32Array(point.length);
      for (let i = 0; i < point.length; i++) {
        const at = point[i]!;
        point[i] = at + step; const above = await loss();
        point[i] = at - step; const below = await loss();
        point[i] = at;
        gradient[i] = (above - below) / (2 * step);
      }
      gradients[name] = gradient;
    }
    return gradients;
  } finally { await session.release(); }
}

function inDoublePrecision(model: Model): Model {
  const double = (tensor: TensorProto): TensorProto => tensor.dataType !== DataType.FLOAT ? tensor : create(TensorProtoSchema, {
    name: tensor.name, dims: tensor.dims, dataType: DataType.DOUBLE, rawData: new Uint8Array(Float64Array.from(floatsOf(tensor)).buffer),
  });
  const { graph } = model;
  return { ...model, graph: {
    ...graph,
    initializer: graph.initializer.map(double),
    node: graph.node.map((node) => create(NodeProtoSchema, { ...node, attribute: node.attribute.map((a) => (a.t ? create(AttributeProtoSchema, { ...a, t: double(a.t) }) : a)) })),
    input: graph.input.map((input) => {
      const tensor = input.type!.value.value as { elemType: number; shape: { dim: { value: { value: bigint } }[] } };
      return valueInfo(input.name, tensor.shape.dim.map((dim) => Number(dim.value.value)), tensor.elemType === DataType.FLOAT ? DataType.DOUBLE : tensor.elemType);
    }),
    output: [{ ...graph.output.find(({ name }) => name === 'loss')!, type: undefined! }],
  } };
}

/** Every element within `tolerance` of the reference, relative to the reference's largest element. */
export function expectClose(actual: Values, reference: Values, tolerance = 1e-4): void {
  for (const [name, expected] of Object.entries(reference)) {
    const ours = actual[name]!;
    expect(ours.length, name).toBe(expected.length);
    const scale = expected.reduce((largest, value) => Math.max(largest, Math.abs(value)), 1e-3);
    const worst = expected.reduce((largest, value, i) => { const error = Math.abs(value - ours[i]!); return error > largest || Number.isNaN(error) ? error : largest; }, 0);
    expect(worst / scale, `relative error of the gradient by ${name}`).toBeLessThan(tolerance);
  }
}

/** Gradients by TensorFlow.js (cpu backend) of the same weighted sum of `f`. @param f the operator, in ONNX's layout */
export async function tfGradients({ inputs, values, seed, outputDims }: Case, f: (...tensors: tf.Tensor[]) => tf.Tensor, wrt = Object.keys(inputs)): Promise<Values> {
  await tf.setBackend('cpu');
  const names = Object.keys(inputs);
  const gradients = tf.grads((...tensors: tf.Tensor[]) => f(...tensors).mul(tf.tensor(seed, [...outputDims])).sum())(names.map((name) => tf.tensor(values[name]!, [...inputs[name]!.dims])));
  return Object.fromEntries(names.map((name, i) => [name, gradients[i]!.dataSync() as Float32Array] as const).filter(([name]) => wrt.includes(name)));
}
