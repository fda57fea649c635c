// Fine-tunes a pruned CIFAR-10 model and times a training step against the forward pass of the same model and batch.
// --train npm45k takes the 45,000 training images of the npm package (bench/cifar10.ts); --test judges on the test images as well, after every epoch: they choose nothing.
// node scripts/run.mjs bench/finetune.ts MODEL.onnx --train train10k.npz|npm45k --val val5k.npz [--teacher MODEL] [--epochs N]
//   [--minutes M] [--optimizer adamw|sgd] [--lr X] [--distillation D] [--temperature T] [--no-augment] [--no-blend] [--views N (0: a new one every epoch) [as many as the teacher has time for]] [--plain] [--absolute] [--keep-zeros] [--limit N] [--time-only] [--test] [--out FILE]
import { parseArgs } from 'node:util';
import type { GraphProto, ModelProto } from 'onnx-buf';
import { openDataset } from '../src/engine/data/openDataset.ts';
import { fairSubset } from '../src/engine/data/subset.ts';
import { Judge } from '../src/engine/evaluation/judge.ts';
import { median } from '../src/engine/evaluation/latency.ts';
import type { Samples } from '../src/engine/evaluation/samples.ts';
import { loadTaskData, prepare, taskInputDims } from '../src/engine/evaluation/taskData.ts';
import { trainingSamples } from '../src/engine/flow/train.ts';
import { loadModel, saveModel } from '../src/engine/onnx/modelFile.ts';
import { Session } from '../src/engine/runtime/session.ts';
import { affordableViews, finetune, finetuneDefaults } from '../src/engine/training/finetune.ts';
import { classificationLoss, labelFeeds, logitsOf } from '../src/engine/training/losses.ts';
import { Trainer } from '../src/engine/training/trainer.ts';
import { whitenLayers } from '../src/engine/training/whitening.ts';
import { testImages, trainingImages } from './cifar10.ts';

type Model = ModelProto & { graph: GraphProto };
const { values: args, positionals } = parseArgs({ allowPositionals: true, options: {
  train: { type: 'string', default: '../shared/data/cifar10/train10k.npz' }, val: { type: 'string', default: '../shared/data/cifar10/val5k.npz' }, teacher: { type: 'string' },
  epochs: { type: 'string' }, minutes: { type: 'string', default: '3' }, optimizer: { type: 'string', default: 'adamw' }, lr: { type: 'string', default: String(finetuneDefaults.learningRate) },
  decay: { type: 'string', default: String(finetuneDefaults.weightDecay) }, distillation: { type: 'string', default: '0.7' }, temperature: { type: 'string', default: '4' }, absolute: { type: 'boolean', default: false }, 'no-augment': { type: 'boolean', default: false }, 'no-blend': { type: 'boolean', default: false }, views: { type: 'string' }, plain: { type: 'boolean', default: false }, 'keep-zeros': { type: 'boolean', default: false },
  limit: { type: 'string' }, 'time-only': { type: 'boolean', default: false }, test: { type: 'boolean', default: false }, out: { type: 'string' }, threads: { type: 'string', default: '0' }, batch: { type: 'string', default: '64' },
} });
const path = positionals[0] ?? '../shared/models/cifar10/plain20.onnx', model = (await loadModel(path)).proto, threads = Number(args.threads), batchSize = Number(args.batch);

/** All of a data set, prepared as validation data are. */
async function loaded(path: string): Promise<Samples> {
  const dataset = await openDataset(path);
  try { return await loadTaskData(dataset, preparation, fairSubset(dataset, dataset.count, 0), { seed: 0 }); } finally { await dataset.close(); }
}

async function medianMs(run: () => Promise<unknown>, times: number): Promise<number> {
  await run();
  const all: number[] = [];
  for (let i = 0; i < times; i++) { const start = performance.now(); await run(); all.push(performance.now() - start); }
  return median(all);
}

/** The most epochs whose planned milliseconds are within a budget, at least 1. */
function mostWithin(milliseconds: number): number {
  let epochs = 1;
  while (planned(epochs + 1) <= milliseconds) epochs++;
  return epochs;
}

const teacher = (await loadModel(args.teacher ?? path)).proto;
const validation = await openDataset(args.val), preparation = await prepare(teacher, validation, await taskInputDims(teacher, validation), { seed: 0 });
await validation.close();
const train = await loaded(args.train === 'npm45k' ? await trainingImages(args.val) : args.train), judge = await Judge.create(teacher, await loaded(args.val), 'top1', { threads });

// one step against one forward pass, the same batch
const samples = { ...trainingSamples(train, true), count: Math.min(train.count, Number(args.limit ?? train.count)) }, { inputs, labels } = await samples.batch(Array.from({ length: batchSize }, (_, i) => i));
const forward = await Session.create(model, { threads }), asked = await Session.create(teacher, { threads });
const options = { ...finetuneDefaults, batchSize, optimizer: args.optimizer as 'adamw' | 'sgd', threads, relativeSteps: !args.absolute, learningRate: Number(args.lr), distillation: Number(args.distillation), temperature: Number(args.temperature), weightDecay: Number(args.decay), whiten: !args.plain, keepZeros: args['keep-zeros'] };
const whitened = options.whiten ? await whitenLayers(model, Object.fromEntries(Object.entries(inputs).map(([name, tensor]) => [name, [tensor]])), { threads, seed: 0 }) : undefined;
const trainer = await Trainer.create(model, { ...options, ...(whitened ? { whitened } : {}), inputShapes: Object.fromEntries(Object.entries(samples.dims).map(([name, dims]) => [name, [batchSize, ...dims]])), loss: classificationLoss(logitsOf(model), { distillation: 0, temperature: 1 }) });
const feeds = { ...inputs, ...labelFeeds(labels!) };
const forwardMs = await medianMs(() => forward.run(inputs), 15), teacherMs = options.distillation > 0 ? await medianMs(() => asked.run(inputs), 5) : 0, stepMs = await medianMs(() => trainer.step(feeds, 1e-5), 15);
for (const each of [forward, asked, trainer]) await each.release();
console.log(`batch ${batchSize}: forward ${forwardMs.toFixed(1)} ms, training step ${stepMs.toFixed(1)} ms = ${(stepMs / forwardMs).toFixed(2)}x forward (at most 5x)${teacherMs > 0 ? `; the teacher's forward ${teacherMs.toFixed(1)} ms` : ''}`);
if (args['time-only']) process.exit(0);

// as many epochs as the minutes allow; the teacher looks at each view of the images once
const viewsOf = (epochs: number): number => Number(args.views ?? affordableViews(epochs, teacherMs / stepMs)), planned = (epochs: number): number => (stepMs * epochs + teacherMs * Math.min(epochs, viewsOf(epochs) || epochs)) * samples.count / batchSize;
const epochs = Number(args.epochs ?? mostWithin(Number(args.minutes) * 60_000)), views = viewsOf(epochs);
const test = args.test ? await Judge.create(teacher, await loaded(await testImages()), 'top1', { threads }) : undefined;
const percent = (value: number): string => `${(100 * value).toFixed(2)}%`, judged = async (candidate: Model): Promise<string> => percent((await judge.assess(candidate)).accuracy) + (test ? ` (${percent((await test.assess(candidate)).accuracy)} of the test images)` : '');
console.log(`original ${await judged(teacher)}, before fine-tuning ${await judged(model)} of ${judge.images.count} validation images; ${epochs} epochs of ${samples.count} images, ${views || epochs} views of each`);
const start = performance.now(), seconds = (): string => ((performance.now() - start) / 1000).toFixed(0);
const result = await finetune({
  model, teacher, samples, evaluate: async (candidate, epoch) => {
    if (test) console.log(`epoch ${epoch}: ${percent((await test.assess(candidate)).accuracy)} of the test images, which choose nothing`);
    return judge.assess(candidate);
  },
  options: { ...options, epochs, views, augmentation: args['no-augment'] ? undefined : { shift: 1 / 8, flip: true, blend: !args['no-blend'] } },
  onProgress: ({ epoch, loss, trainAccuracy, assessment }) => { if (assessment) console.log(`epoch ${epoch}: loss ${loss.toFixed(4)}, train ${percent(trainAccuracy)}, validation ${percent(assessment.accuracy)} after ${seconds()} s`); },
});
console.log(`after ${seconds()} s: ${await judged(result.model)} (epoch ${result.bestEpoch})`);
if (args.out) await saveModel(result.model, args.out);
