/**
 * Whether compression works on other networks than those of the results: four small classifiers with concatenations, channel shuffle, gates and attention are
 * trained here on labels, and compressed with default settings. node scripts/run.mjs bench/otherNetworks.ts [--only NAME] [--epochs 15] [--redo]
 * Trained networks are kept in bench/out/other. Accuracy of val5k, which the search saw, and of the 10,000 test images.
 */
import { existsSync, mkdirSync, rmSync } from 'node:fs';
import { resolve } from 'node:path';
import { parseArgs } from 'node:util';
import type { GraphProto, ModelProto } from 'onnx-buf';
import { compress } from '../src/engine/compress.ts';
import { openDataset } from '../src/engine/data/openDataset.ts';
import { fairSubset } from '../src/engine/data/subset.ts';
import { evaluateModel } from '../src/engine/evaluation/evaluate.ts';
import { loadTaskData, prepare, taskInputDims } from '../src/engine/evaluation/taskData.ts';
import { trainingSamples } from '../src/engine/flow/train.ts';
import { Random } from '../src/engine/numerics/random.ts';
import { GraphBuilder } from '../src/engine/onnx/graphBuilder.ts';
import { loadModel, saveModel } from '../src/engine/onnx/modelFile.ts';
import { parseCompressOptions } from '../src/engine/protocol.ts';
import { finetune } from '../src/engine/training/finetune.ts';
import { testImages } from './cifar10.ts';

type Model = ModelProto & { graph: GraphProto };
const { values: args } = parseArgs({ options: { only: { type: 'string' }, epochs: { type: 'string', default: '15' }, redo: { type: 'boolean', default: false } } });
const data = '../shared/data/cifar10', preprocess = '{"mean": [0.4914, 0.4822, 0.4465], "std": [0.247, 0.2435, 0.2616]}';

/** Writes layers with random weights (He et al. 2015), the last of a branch smaller so that the sum begins near the shortcut. */
class Layers {
  readonly build = new GraphBuilder();
  private readonly random = new Random(7);
  private weights(dims: readonly number[], fanIn: number, gain = 1): string {
    const scale = gain * Math.sqrt(2 / fanIn);
    return this.build.floats(dims, Float32Array.from({ length: dims.reduce((a, b) => a * b, 1) }, () => scale * this.random.normal()));
  }
  private zeros(length: number): string { return this.build.floats([length], new Float32Array(length)); }
  conv(value: string, from: number, to: number, shape: { readonly kernel?: number; readonly stride?: number; readonly group?: number; readonly gain?: number; readonly pad?: number } = {}): string {
    const { kernel = 3, stride = 1, group = 1, gain = 1 } = shape, { pad = kernel >> 1 } = shape;
    return this.build.op('Conv', [value, this.weights([to, from / group, kernel, kernel], (from / group) * kernel ** 2, gain), this.zeros(to)], { kernel_shape: [kernel, kernel], strides: [stride, stride], pads: [pad, pad, pad, pad], group });
  }
  relu(value: string): string { return this.build.op('Relu', [value]); }
  linear(value: string, from: number, to: number, gain = 0.7): string { return this.build.add(this.build.op('MatMul', [value, this.weights([from, to], from, gain)]), this.zeros(to)); }
  norm(value: string, width: number): string { return this.build.op('LayerNormalization', [value, this.build.floats([width], new Float32Array(width).fill(1)), this.zeros(width)], { axis: -1 }); }
  pooled(value: string): string { return this.build.op('GlobalAveragePool', [value]); }
  classes(value: string, from: number): string {
    const flat = this.build.op('Flatten', [value], { axis: 1 });
    return this.build.op('Gemm', [flat, this.weights([10, from], from, 0.5), this.zeros(10)], { transB: 1 });
  }
  constant(dims: readonly number[], scale: number): string { return this.build.floats(dims, Float32Array.from({ length: dims.reduce((a, b) => a * b, 1) }, () => scale * this.random.normal())); }
}

/** Each layer of a stage reads all before it (Huang et al. 2017). */
function dense(net: Layers, image: string): string {
  let value = net.relu(net.conv(image, 3, 24)), width = 24;
  for (let stage = 0; stage < 3; stage++) {
    for (let i = 0; i < 4; i++) { value = net.build.concat([value, net.relu(net.conv(net.relu(net.conv(value, width, 32, { kernel: 1 })), 32, 16))], 1); width += 16; }
    if (stage < 2) { value = net.relu(net.conv(value, width, width / 2, { kernel: 2, stride: 2, pad: 0 })); width /= 2; }
  }
  return net.classes(net.pooled(value), width);
}

/** Residual blocks of grouped 1x1 convolutions, a shuffle of channels between the groups, and a depthwise convolution (Zhang et al. 2018). */
function shuffle(net: Layers, image: string): string {
  let value = net.relu(net.conv(image, 3, 48)), width = 48, size = 32;
  for (const [to, stride] of [[48, 1], [48, 1], [96, 2], [96, 1], [96, 1], [192, 2], [192, 1], [192, 1]] as const) {
    const inner = net.relu(net.conv(value, width, to, { kernel: 1, group: 4 }));
    const mixed = net.build.reshape(net.build.transpose(net.build.reshape(inner, [-1, 4, to / 4, size, size]), [0, 2, 1, 3, 4]), [-1, to, size, size]);
    const branch = net.conv(net.conv(mixed, to, to, { stride, group: to }), to, to, { kernel: 1, group: 4, gain: 0.5 });
    value = net.relu(net.build.add(branch, stride === 1 ? value : net.conv(value, width, to, { kernel: 1, stride, pad: 0 })));
    width = to;
    size /= stride;
  }
  return net.classes(net.pooled(value), width);
}

/** Residual blocks whose channels are weighted by squeeze and excitation (Hu et al. 2018). */
function gated(net: Layers, image: string): string {
  let value = net.relu(net.conv(image, 3, 16)), width = 16;
  for (const [to, stride] of [[16, 1], [16, 1], [32, 2], [32, 1], [64, 2], [64, 1]] as const) {
    const branch = net.conv(net.relu(net.conv(value, width, to, { stride })), to, to, { gain: 0.5 });
    const gate = net.build.op('Sigmoid', [net.conv(net.relu(net.conv(net.pooled(branch), to, to / 4, { kernel: 1 })), to / 4, to, { kernel: 1 })]);
    value = net.relu(net.build.add(net.build.mul(branch, gate), stride === 1 ? value : net.conv(value, width, to, { kernel: 1, stride, pad: 0 })));
    width = to;
  }
  return net.classes(net.pooled(value), width);
}

/** A vision transformer of four blocks on patches of 4x4 pixels (Dosovitskiy et al. 2021). */
function attention(net: Layers, image: string): string {
  const { build } = net, width = 96, heads = 4, tokens = 64, each = width / heads;
  const patches = build.reshape(net.conv(image, 3, width, { kernel: 4, stride: 4, pad: 0, gain: 0.7 }), [-1, width, tokens]);
  let value = build.add(build.transpose(patches, [0, 2, 1]), net.constant([1, tokens, width], 0.2));
  for (let block = 0; block < 4; block++) {
    const normed = net.norm(value, width), parts = [0, 1, 2].map(() => build.transpose(build.reshape(net.linear(normed, width, width), [-1, tokens, heads, each]), [0, 2, 1, 3]));
    const weights = build.op('Softmax', [build.mul(build.op('MatMul', [parts[0]!, build.transpose(parts[1]!, [0, 1, 3, 2])]), 1 / Math.sqrt(each))], { axis: -1 });
    const mixed = build.reshape(build.transpose(build.op('MatMul', [weights, parts[2]!]), [0, 2, 1, 3]), [-1, tokens, width]);
    value = build.add(value, net.linear(mixed, width, width, 0.3));
    const hidden = net.linear(net.norm(value, width), width, 2 * width);
    const gelu = build.mul(build.mul(hidden, build.add(build.op('Erf', [build.mul(hidden, Math.SQRT1_2)]), 1)), 0.5);
    value = build.add(value, net.linear(gelu, 2 * width, width, 0.3));
  }
  return net.classes(build.op('ReduceMean', [net.norm(value, width)], { axes: [1], keepdims: 0 }), width);
}

const networks = { dense, shuffle, gated, attention };

function untrained(write: (net: Layers, image: string) => string): Model {
  const net = new Layers(), logits = write(net, net.build.input('images', ['batch', 3, 32, 32]));
  net.build.output(logits, 'logits', ['batch', 10]);
  return net.build.model();
}

async function train(model: Model, epochs: number): Promise<Model> {
  const load = async (path: string, count: number) => {
    const dataset = await openDataset(path);
    try { return await loadTaskData(dataset, await prepare(model, dataset, await taskInputDims(model, dataset), { seed: 0, preprocess }), fairSubset(dataset, count, 0), { seed: 0 }); } finally { await dataset.close(); }
  };
  const { model: trained, history } = await finetune({
    model, samples: trainingSamples(await load(`${data}/train10k.npz`, 10_000), true),
    options: { epochs, distillation: 0, learningRate: 2e-3, weightDecay: 0.02, relativeSteps: false, augmentation: { shift: 1 / 8, flip: true } },
  });
  console.log(`trained ${epochs} epochs, accuracy on its own augmented images ${(100 * history.at(-1)!.trainAccuracy).toFixed(1)}%`);
  return trained;
}

async function accuracyOn(path: string, images: string): Promise<number> {
  const dataset = await openDataset(images);
  try { return 100 * (await evaluateModel((await loadModel(path)).proto, dataset, { seed: 0 })).value; } finally { await dataset.close(); }
}

const folder = resolve('bench/out/other');
mkdirSync(folder, { recursive: true });
for (const [name, write] of Object.entries(networks).filter(([each]) => each === (args.only ?? each))) {
  const model = resolve(folder, `${name}.onnx`), out = resolve(folder, `${name}.small.onnx`), runDir = resolve(folder, `${name}.run`);
  if (args.redo || !existsSync(model)) await saveModel(await train(untrained(write), Number(args.epochs)), model);
  rmSync(runDir, { recursive: true, force: true });
  const target = { metric: 'macs', value: name === 'attention' ? 0.7 : 0.5 } as const;
  const { before, after, steps, policy, seconds, baselines } = await compress(parseCompressOptions({ model, val: `${data}/val5k.npz`, calibration: `${data}/train10k.npz`, target, out, runDir }), { emit: () => undefined, signal: new AbortController().signal });
  const test = await testImages(), [original, compressed] = [await accuracyOn(model, test), await accuracyOn(out, test)];
  console.log(`${name}: MACs ${(after.macs / before.macs).toFixed(3)}, parameters ${(after.params / before.params).toFixed(3)}, latency ${(after.latencyMs.median / before.latencyMs.median).toFixed(2)}, val5k ${(100 * before.accuracy.value).toFixed(2)} -> ${steps.map(({ step, accuracy }) => `${step} ${(100 * accuracy).toFixed(2)}`).join(', ')}; baselines repaired ${baselines.map((baseline) => `${baseline.policy} ${(100 * baseline.accuracy).toFixed(2)}`).join(', ')}; test ${original.toFixed(2)} -> ${compressed.toFixed(2)}; ${policy}, ${seconds['total']!.toFixed(0)} s`);
}
