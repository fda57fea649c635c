// Fine-tunes a pruned CIFAR-10 model and times a training step against the forward pass of the same model and batch.
// --train npm45k takes the 45,000 training images of the npm package (bench/cifar10.ts); --test judges on the test images as well, before and after.
// node scripts/run.mjs bench/finetune.ts MODEL.onnx --train train10k.npz|npm45k --val val5k.npz [--teacher MODEL] [--preserve 0.7] [--epochs N]
//   [--minutes M] [--optimizer adamw|sgd] [--lr X] [--distillation D] [--temperature T] [--no-augment] [--blend] [--absolute] [--limit N] [--val-limit N] [--time-only] [--test] [--out FILE]
import { readFile } from 'node:fs/promises';
import { parseArgs } from 'node:util';
import { unzipSync } from 'fflate';
import type { GraphProto, ModelProto } from 'onnx-buf';
import { GraphView } from '../src/engine/onnx/graphView.ts';
import { loadModel, saveModel } from '../src/engine/onnx/modelFile.ts';
import { dimsOf, floatsOf, gatherAxis } from '../src/engine/onnx/tensor.ts';
import { Session, floats } from '../src/engine/runtime/session.ts';
import { type TrainingSamples, finetune, finetuneDefaults } from '../src/engine/training/finetune.ts';
import { classificationLoss, labelsName, logitsOf } from '../src/engine/training/losses.ts';
import { Trainer } from '../src/engine/training/trainer.ts';
import { testImages, trainingImages } from './cifar10.ts';

type Model = ModelProto & { graph: GraphProto };
const { values: args, positionals } = parseArgs({ allowPositionals: true, options: {
  train: { type: 'string', default: '../shared/data/cifar10/train10k.npz' }, val: { type: 'string', default: '../shared/data/cifar10/val5k.npz' }, teacher: { type: 'string' },
  preserve: { type: 'string', default: '1' }, epochs: { type: 'string' }, minutes: { type: 'string', default: '3' }, optimizer: { type: 'string', default: 'adamw' }, lr: { type: 'string', default: String(finetuneDefaults.learningRate) },
  decay: { type: 'string', default: String(finetuneDefaults.weightDecay) }, distillation: { type: 'string', default: '0.7' }, temperature: { type: 'string', default: '4' }, absolute: { type: 'boolean', default: false }, 'no-augment': { type: 'boolean', default: false }, blend: { type: 'boolean', default: false },
  limit: { type: 'string' }, 'time-only': { type: 'boolean', default: false }, test: { type: 'boolean', default: false }, out: { type: 'string' }, threads: { type: 'string', default: '0' }, 'val-limit': { type: 'string' }, batch: { type: 'string', default: '64' },
} });
const path = positionals[0] ?? '../shared/models/cifar10/plain20.onnx', original = (await loadModel(path)).proto, inputName = new GraphView(original.graph).inputs[0]!, threads = Number(args.threads), batchSize = Number(args.batch);

async function cifar(file: string): Promise<TrainingSamples & { labels: Int32Array }> {
  const npz = unzipSync(await readFile(file));
  const body = (name: string): Uint8Array => { const bytes = npz[`${name}.npy`]!; return bytes.subarray(10 + bytes[8]! + 256 * bytes[9]!).slice(); };
  const pixels = body('images'), labels = Int32Array.from(new BigInt64Array(body('labels').buffer), Number), size = 3 * 32 * 32;
  const mean = [0.4914, 0.4822, 0.4465], deviation = [0.247, 0.2435, 0.2616];
  return { count: labels.length, dims: { [inputName]: [3, 32, 32] }, labels, batch: (indices) => {
    const images = new Float32Array(indices.length * size);
    indices.forEach((index, n) => { for (let i = 0; i < size; i++) { const c = i >> 10; images[n * size + i] = (pixels[index * size + i]! / 255 - mean[c]!) / deviation[c]!; } });
    return Promise.resolve({ inputs: { [inputName]: floats(images, [indices.length, 3, 32, 32]) }, labels: Int32Array.from(indices, (index) => labels[index]!) });
  } };
}

/** Keeps the largest share of the output channels of every convolution of a plain chain of convolutions, by the L1 norm of their weights. */
function pruneChain(model: Model, preserve: number): Model {
  const initializers = new Map(model.graph.initializer.map((tensor) => [tensor.name, tensor]));
  let kept: number[] | undefined;
  for (const node of model.graph.node) {
    if (node.opType !== 'Conv' && node.opType !== 'Gemm') continue;
    const [, w, b] = node.input as [string, string, string];
    let weight = initializers.get(w)!;
    if (kept) weight = gatherAxis(weight, 1, kept);
    if (node.opType === 'Conv') {
      const [out] = dimsOf(weight) as [number], values = floatsOf(weight), width = values.length / out;
      const norms = Array.from({ length: out }, (_, o) => values.subarray(o * width, (o + 1) * width).reduce((sum, v) => sum + Math.abs(v), 0));
      kept = Array.from(norms.keys()).sort((p, q) => norms[q]! - norms[p]!).slice(0, Math.max(1, Math.round(out * preserve))).sort((p, q) => p - q);
      weight = gatherAxis(weight, 0, kept);
      initializers.set(b, gatherAxis(initializers.get(b)!, 0, kept));
    }
    initializers.set(w, weight);
  }
  return { ...model, graph: { ...model.graph, initializer: [...initializers.values()], valueInfo: [] } };
}

async function accuracy(model: Model, data: Awaited<ReturnType<typeof cifar>>, limit = data.count): Promise<number> {
  const session = await Session.create(model, { threads });
  let correct = 0;
  for (let from = 0; from < limit; from += 100) {
    const indices = Array.from({ length: Math.min(100, limit - from) }, (_, i) => from + i);
    const { inputs, labels } = await data.batch(indices);
    const logits = (await session.run(inputs))[session.outputNames[0]!]!, rows = logits.data as Float32Array, classes = logits.dims[1]!;
    labels!.forEach((label, n) => { const row = rows.subarray(n * classes, (n + 1) * classes); if (row.indexOf(Math.max(...row)) === label) correct++; });
  }
  await session.release();
  return 100 * correct / limit;
}

async function medianMs(run: () => Promise<unknown>, times: number): Promise<number> {
  await run();
  const all: number[] = [];
  for (let i = 0; i < times; i++) { const start = performance.now(); await run(); all.push(performance.now() - start); }
  return all.sort((a, b) => a - b)[times >> 1]!;
}

const teacher = (await loadModel(args.teacher ?? path)).proto, preserve = Number(args.preserve);
const model = preserve < 1 ? pruneChain(original, preserve) : original;
const train = await cifar(args.train === 'npm45k' ? await trainingImages(args.val) : args.train), all = await cifar(args.val), val = { ...all, count: Math.min(all.count, Number(args['val-limit'] ?? all.count)) };

// one step against one forward pass, the same batch
const first = await train.batch(Array.from({ length: batchSize }, (_, i) => i)), shape = [batchSize, 3, 32, 32], { inputs } = first;
const forward = await Session.create(model, { threads });
const optimizer = args.optimizer as 'adamw' | 'sgd';
const trainer = await Trainer.create(model, { ...finetuneDefaults, optimizer, threads, inputShapes: { [inputName]: shape }, loss: classificationLoss(logitsOf(model), { distillation: 0, temperature: 1 }) });
const feeds = { ...inputs, [labelsName]: { type: 'int64', dims: [batchSize], data: BigInt64Array.from(first.labels!, BigInt) } };
const asked = await Session.create(teacher, { threads });
const forwardMs = await medianMs(() => forward.run(inputs), 15), teacherMs = Number(args.distillation) > 0 ? await medianMs(() => asked.run(inputs), 5) : 0, stepMs = await medianMs(() => trainer.step(feeds, 1e-5), 15);
for (const each of [forward, asked, trainer]) await each.release();
console.log(`batch ${batchSize}: forward ${forwardMs.toFixed(1)} ms, training step ${stepMs.toFixed(1)} ms = ${(stepMs / forwardMs).toFixed(2)}x forward (at most 5x)`);
if (args['time-only']) process.exit(0);

const count = Math.min(train.count, Number(args.limit ?? train.count));
const epochs = Number(args.epochs ?? Math.max(1, Math.floor(Number(args.minutes) * 60_000 / ((stepMs + teacherMs) * count / batchSize))));
const test = args.test ? await cifar(await testImages()) : undefined, tested = async (candidate: Model): Promise<string> => (test ? ` (${(await accuracy(candidate, test)).toFixed(2)}% of the test images)` : '');
console.log(`original ${(await accuracy(teacher, val)).toFixed(2)}%${await tested(teacher)}, before fine-tuning ${(await accuracy(model, val)).toFixed(2)}%${await tested(model)} of ${val.count} validation images; ${epochs} epochs of ${count} images`);
const start = performance.now();
const result = await finetune({
  model, teacher, samples: { ...train, count }, evaluate: async (candidate, epoch) => {
    const score = await accuracy(candidate, val, val.count);
    console.log(`epoch ${epoch}: validation ${score.toFixed(2)}% after ${((performance.now() - start) / 1000).toFixed(0)} s`);
    return { accuracy: score / 100, probability: score / 100 };
  },
  options: {
    epochs, batchSize, optimizer, threads, relativeSteps: !args.absolute, learningRate: Number(args.lr), distillation: Number(args.distillation), temperature: Number(args.temperature), weightDecay: Number(args.decay),
    ...(args['no-augment'] ? { augmentation: undefined } : args.blend ? { augmentation: { shift: 4, flip: true, blend: true } } : {}),
  },
});
for (const { epoch, loss, trainAccuracy } of result.history) console.log(`epoch ${epoch}: loss ${loss.toFixed(4)}, train ${(100 * trainAccuracy).toFixed(1)}%`);
console.log(`after ${((performance.now() - start) / 1000).toFixed(0)} s: ${(await accuracy(result.model, val)).toFixed(2)}%${await tested(result.model)} (epoch ${result.bestEpoch})`);
if (args.out) await saveModel(result.model, args.out);
