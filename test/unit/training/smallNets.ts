import type { GraphProto, ModelProto } from 'onnx-buf';
import { Random } from '../../../src/engine/numerics/random.ts';
import { floats } from '../../../src/engine/runtime/session.ts';
import { GraphBuilder } from '../../../src/engine/onnx/graphBuilder.ts';
import type { TrainingSamples } from '../../../src/engine/training/finetune.ts';

type Model = ModelProto & { graph: GraphProto };

/** A convolutional classifier of [batch, 2, 8, 8] into three classes: plain, strided, depthwise and very small convolutions, BatchNormalization, pooling. */
export function smallClassifier(seed: number): Model {
  const random = new Random(seed), build = new GraphBuilder();
  const weight = (name: string, dims: number[], scale = Math.sqrt(2 / dims.slice(1).reduce((a, b) => a * b, 1))): string => {
    const made = build.floats(dims, Float32Array.from({ length: dims.reduce((a, b) => a * b, 1) }, () => random.normal(0, scale)));
    build.initializers.at(-1)!.name = name;
    void made;
    return name;
  };
  const ones = (name: string, count: number): string => { weight(name, [count], 0); build.initializers.at(-1)!.rawData = new Uint8Array(Float32Array.from({ length: count }, () => 1).buffer); return name; };
  const conv = (x: string, name: string, dims: number[], stride = 1, group = 1): string =>
    build.op('Conv', [x, weight(`${name}.weight`, dims), weight(`${name}.bias`, [dims[0]!], 0.01)], { kernel_shape: dims.slice(2), pads: dims.slice(2).flatMap((k) => [k >> 1, k >> 1]), strides: [stride, stride], group });
  const x = build.input('image', ['batch', 2, 8, 8]);
  const first = build.op('Relu', [conv(x, 'first', [6, 2, 3, 3])]);
  const normal = build.op('BatchNormalization', [conv(first, 'depthwise', [6, 1, 3, 3], 2, 6), ones('norm.scale', 6), weight('norm.bias', [6], 0.1), weight('norm.mean', [6], 0.1), ones('norm.var', 6)]);
  const second = build.op('Relu', [conv(build.op('Clip', [normal, build.scalar(0), build.scalar(6)]), 'second', [8, 6, 1, 1])]);
  const third = build.op('Relu', [build.add(conv(build.op('MaxPool', [second], { kernel_shape: [2, 2], strides: [2, 2] }), 'third', [8, 8, 3, 3]), 0.1)]);
  const features = build.op('Flatten', [build.op('GlobalAveragePool', [third])]);
  build.output(build.op('Gemm', [features, weight('head.weight', [3, 8]), weight('head.bias', [3], 0.01)], { transB: 1 }), 'logits', ['batch', 3]);
  return build.model();
}

/** Images whose class is the orientation of their stripes: something to learn. */
export function stripes(count: number, seed: number, labelled = true): TrainingSamples {
  const random = new Random(seed), size = 2 * 8 * 8;
  const labels = Int32Array.from({ length: count }, () => random.integer(3));
  const pixels = new Float32Array(count * size);
  for (let n = 0; n < count; n++) {
    const phase = random.uniform(0, 6.28);
    for (let i = 0; i < size; i++) {
      const x = i % 8, y = Math.floor(i / 8) % 8, along = labels[n] === 0 ? x : labels[n] === 1 ? y : x + y;
      pixels[n * size + i] = Math.sin(along * 1.6 + phase) + random.normal(0, 0.3);
    }
  }
  return { count, dims: { image: [2, 8, 8] }, batch: (indices) => {
    const images = new Float32Array(indices.length * size);
    indices.forEach((index, row) => { images.set(pixels.subarray(index * size, (index + 1) * size), row * size); });
    return Promise.resolve({ inputs: { image: floats(images, [indices.length, 2, 8, 8]) }, ...(labelled ? { labels: Int32Array.from(indices, (index) => labels[index]!) } : {}) });
  } };
}
