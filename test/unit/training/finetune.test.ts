import { describe, expect, it } from 'vitest';
import type { GraphProto, ModelProto } from 'onnx-buf';
import { GraphBuilder } from '../../../src/engine/onnx/graphBuilder.ts';
import { decodeModel, encodeModel } from '../../../src/engine/onnx/modelFile.ts';
import { DataType, floatsOf } from '../../../src/engine/onnx/tensor.ts';
import type { Assessment } from '../../../src/engine/evaluation/judge.ts';
import { Random } from '../../../src/engine/numerics/random.ts';
import { analyse } from '../../../src/engine/pruning/analysis.ts';
import { Session, floats } from '../../../src/engine/runtime/session.ts';
import { type FinetuneTask, type TrainingSamples, affordableViews, distill, finetune } from '../../../src/engine/training/finetune.ts';
import { outputFeatures } from '../../../src/engine/training/features.ts';
import { packParameters, parametersOf } from '../../../src/engine/training/parameters.ts';
import { smallClassifier, stripes } from './smallNets.ts';

type Model = ModelProto & { graph: GraphProto };
const options = { epochs: 3, batchSize: 16, learningRate: 0.05, distillation: 0, augmentation: undefined, threads: 1 } as const;

async function accuracy(model: Model): Promise<number> {
  const data = stripes(300, 99), { inputs, labels } = await data.batch(Array.from({ length: 300 }, (_, i) => i));
  const session = await Session.create(model, { threads: 1 });
  const rows = (await session.run(inputs))['logits']!.data as Float32Array;
  await session.release();
  return labels!.reduce((hits, label, n) => hits + Number([0, 1, 2].every((c) => rows[3 * n + c]! <= rows[3 * n + label]!)), 0) / 300;
}
const vectorOf = (model: Model): Float32Array => packParameters(parametersOf(model));

describe('finetune', () => {
  it.each([['adamw', 0.05], ['sgd', 0.03]] as const)('teaches a small network to tell stripes apart with %s', async (optimizer, learningRate) => {
    const model = smallClassifier(1), before = await accuracy(model);
    const { model: trained, history } = await finetune({ model, samples: stripes(320, 2), options: { ...options, optimizer, learningRate } });
    expect(before).toBeLessThan(0.6);
    expect(await accuracy(trained)).toBeGreaterThan(0.9);
    expect(history.map(({ epoch }) => epoch)).toEqual([1, 2, 3]);
    expect(history.at(-1)!.loss).toBeLessThan(history[0]!.loss / 2);
  });

  it('gives a plain inference model: same graph, inputs, outputs and opset, statistics untouched', async () => {
    const model = smallClassifier(1), { model: trained } = await finetune({ model, samples: stripes(64, 2), options: { ...options, epochs: 1 } });
    const again = decodeModel(Buffer.concat(encodeModel(trained)), 'trained');
    expect(again.graph.node).toEqual(model.graph.node);
    expect([again.graph.input, again.graph.output, again.opsetImport]).toEqual([model.graph.input, model.graph.output, model.opsetImport]);
    const values = (from: Model, name: string): Float32Array => floatsOf(from.graph.initializer.find((tensor) => tensor.name === name)!);
    for (const name of ['norm.mean', 'norm.var']) expect(values(again, name)).toEqual(values(model, name));
    for (const name of ['norm.scale', 'norm.bias', 'depthwise.weight', 'third.weight', 'head.bias']) expect(values(again, name), name).not.toEqual(values(model, name));
  });

  it('learns without labels from a teacher', async () => {
    const { model: teacher } = await finetune({ model: smallClassifier(1), samples: stripes(320, 2), options });
    const { model: student } = await distill({ model: smallClassifier(7), teacher, samples: stripes(320, 3, false), options: { ...options, temperature: 3, epochs: 4 } });
    expect(await accuracy(student)).toBeGreaterThan(0.85);
  });

  it('learns the outputs of a teacher that scores no classes', async () => {
    const teacher = smallClassifier(5), student = smallClassifier(1), samples = stripes(320, 3, false), features = outputFeatures(await analyse(teacher), ['logits']);
    const { model, history } = await finetune({ model: student, teacher, classes: false, features, samples, options: { ...options, distillation: 1, epochs: 4 } });
    const { inputs } = await stripes(64, 9).batch(Array.from({ length: 64 }, (_, i) => i)), answers = async (from: Model): Promise<Float32Array> => {
      const session = await Session.create(from, { threads: 1 }), { logits } = await session.run(inputs);
      await session.release();
      return logits!.data as Float32Array;
    };
    const wanted = await answers(teacher), distance = async (from: Model): Promise<number> => (await answers(from)).reduce((sum, value, i) => sum + (value - wanted[i]!) ** 2, 0);
    expect(await distance(model)).toBeLessThan(0.2 * await distance(student));
    expect(history.at(-1)!.loss).toBeLessThan(history[0]!.loss / 2);
    await expect(finetune({ model: student, teacher, classes: false, features, samples, options: { ...options, distillation: 0.5 } })).rejects.toThrow(/scores no classes/);
  });

  it('learns with several inputs, and numbers of words among them', async () => {
    const words = 12, random = new Random(4), values = (size: number, scale: number): Float32Array => Float32Array.from({ length: size }, () => random.normal(0, scale));
    const network = (): Model => { // logits of [mean of the words' vectors, three numbers]
      const build = new GraphBuilder(), ids = build.input('ids', ['batch', 4], DataType.INT64), more = build.input('more', ['batch', 3]);
      const mean = build.op('ReduceMean', [build.op('Gather', [build.floats([words, 5], values(words * 5, 1)), ids])], { axes: [1], keepdims: 0 });
      build.output(build.op('Gemm', [build.op('Concat', [mean, more], { axis: 1 }), build.floats([8, 3], values(24, 1))]), 'logits', ['batch', 3]);
      return build.model();
    };
    const count = 320, ids = BigInt64Array.from({ length: 4 * count }, () => BigInt(random.integer(words))), more = values(3 * count, 1);
    const samples: TrainingSamples = { count, dims: { ids: [4], more: [3] }, batch: (indices) => Promise.resolve({ inputs: {
      ids: { type: 'int64', dims: [indices.length, 4], data: BigInt64Array.from(indices.flatMap((i) => [...ids.subarray(4 * i, 4 * i + 4)])) }, more: floats(Float32Array.from(indices.flatMap((i) => [...more.subarray(3 * i, 3 * i + 3)])), [indices.length, 3]),
    } }) };
    const { history, model } = await distill({ model: network(), teacher: network(), samples, options: { ...options, temperature: 1, epochs: 6, augmentation: { shift: 1 / 8, flip: true }, views: 2 } });
    expect(history.at(-1)!.loss).toBeLessThan(history[0]!.loss / 3);
    expect(model.graph.input.map(({ name }) => name)).toEqual(['ids', 'more']);
  });

  it.each([0, 1, 2])('gives the same bytes when it is interrupted and resumed (%i views)', async (views) => {
    const teacher = smallClassifier(5), task: FinetuneTask = { model: smallClassifier(1), teacher, samples: stripes(96, 2), options: { ...options, distillation: 0.5, augmentation: { shift: 1 / 8, flip: true }, views } };
    const whole = await finetune(task);
    const controller = new AbortController();
    let checkpoint: Uint8Array | undefined, seen = 0;
    const interrupted = finetune({ ...task, signal: controller.signal, onCheckpoint: (bytes) => { checkpoint = bytes; }, onProgress: ({ step }) => { seen = step; if (step === 9) controller.abort(); } });
    await expect(interrupted).rejects.toThrow('Cancelled');
    expect(seen).toBe(9);
    const resumed = await finetune({ ...task, checkpoint: checkpoint! });
    expect(vectorOf(resumed.model)).toEqual(vectorOf(whole.model));
    expect(resumed.history).toEqual(whole.history);
    const other = await finetune({ ...task, options: { ...task.options, seed: 1 } });
    expect(vectorOf(other.model)).not.toEqual(vectorOf(whole.model));
  });

  it('shows each image in as many ways as it is told, blended alike, in another order of batches', async () => {
    const shown = async (views: number): Promise<number[]> => {
      const losses: number[] = []; // with weights that stand still, the loss tells which pictures a step saw
      await finetune({
        model: smallClassifier(1), teacher: smallClassifier(5), samples: stripes(96, 2, false), options: { ...options, epochs: 4, learningRate: 0, distillation: 1, augmentation: { shift: 1 / 8, flip: true, blend: true }, views },
        onProgress: ({ epoch, loss }) => { if (Number.isInteger(epoch)) losses.push(Math.round(loss * 1e4)); },
      });
      return losses;
    };
    const two = await shown(2), always = await shown(0);
    expect([two[2], two[3]]).toEqual([two[0], two[1]]);
    expect(new Set(two).size).toBe(2);
    expect(new Set(always).size).toBe(4);
    expect(always.slice(0, 2)).toEqual(two.slice(0, 2));
  });

  it('keeps the weights of the epoch with the highest reward and stops when it gets no better', async () => {
    const assessments = [[0.5, 0.4], [0.7, 0.7], [0.8, 0.5], [0.6, 0.6], [0.9, 0.9]].map(([accuracy, probability]) => ({ accuracy: accuracy!, probability: probability! })), seen: Float32Array[] = [];
    const result = await finetune({
      model: smallClassifier(1), samples: stripes(32, 2), options: { ...options, epochs: 5, patience: 2 },
      evaluate: (candidate, epoch) => { seen.push(vectorOf(candidate)); return Promise.resolve(assessments[epoch - 1]!); },
    });
    expect(result.history.map(({ assessment }) => assessment)).toEqual(assessments.slice(0, 4)); // the second by accuracy and probability together
    expect(result.bestEpoch).toBe(2);
    expect(vectorOf(result.model)).toEqual(seen[1]);
  });

  it('keeps the best epoch where a later one ends in no number, and says which', async () => {
    const samples = stripes(64, 2), task: FinetuneTask = { model: smallClassifier(1), samples, options: { ...options, epochs: 4 } };
    const spoilt = (from: number): TrainingSamples => {
      let batches = 0;
      return { ...samples, batch: async (indices) => { const batch = await samples.batch(indices); if (++batches > from) (batch.inputs['image']!.data as Float32Array)[0] = Infinity; return batch; } };
    };
    const before = 64 / 16; // batches that whitening looks at
    const evaluate = (_: Model, epoch: number): Promise<Assessment> => Promise.resolve({ accuracy: 1 / epoch, probability: 1 / epoch }), seen: Float32Array[] = [];
    const { model, bestEpoch, history, diverged } = await finetune({ ...task, samples: spoilt(before + 9), evaluate: (candidate, epoch) => { seen.push(vectorOf(candidate)); return evaluate(candidate, epoch); } });
    expect({ bestEpoch, diverged, epochs: history.length }).toEqual({ bestEpoch: 1, diverged: 3, epochs: 2 });
    expect(vectorOf(model)).toEqual(seen[0]);
    await expect(finetune({ ...task, samples: spoilt(before + 2), evaluate })).rejects.toThrow(/diverged/);
    expect((await finetune(task)).diverged).toBeUndefined();
  });

  it('trains a model whose opset is imported by the name ai.onnx', async () => {
    const model = smallClassifier(1), [opset] = model.opsetImport, named = { ...model, opsetImport: [{ ...opset!, domain: 'ai.onnx', version: 13n }], graph: { ...model.graph, node: model.graph.node.map((node) => ({ ...node, domain: 'ai.onnx' })) } };
    const task = { samples: stripes(64, 2), options: { ...options, epochs: 1 } }, { model: trained } = await finetune({ ...task, model: named });
    expect(vectorOf(trained)).toEqual(vectorOf((await finetune({ ...task, model })).model));
    expect(trained.opsetImport).toEqual(named.opsetImport);
  });

  it('learns scores of the shape [batch, classes, 1, 1] as it does others', async () => {
    const flat = smallClassifier(1), teacher = smallClassifier(5), placed = (model: Model): Model => {
      const build = new GraphBuilder({ ...model, graph: { ...model.graph, output: [] } });
      build.output(build.op('Unsqueeze', ['logits', build.ints([2, 3])]), 'scores', ['batch', 3, 1, 1]);
      return build.model();
    };
    const task = { samples: stripes(64, 2), options: { ...options, epochs: 1, distillation: 0.5 } };
    const [wanted, got] = [await finetune({ ...task, model: flat, teacher }), await finetune({ ...task, model: placed(flat), teacher: placed(teacher) })];
    expect(got.history).toEqual(wanted.history);
    expect(vectorOf(got.model)).toEqual(vectorOf(wanted.model));
  });

  it.each([-1e4, -Infinity])('learns beside a class that is excluded by %d', async (excluding) => {
    const masked = (model: Model): Model => {
      const build = new GraphBuilder({ ...model, graph: { ...model.graph, output: [] } });
      build.output(build.add('logits', build.floats([3], Float32Array.of(0, 0, excluding))), 'scores', ['batch', 3]);
      return build.model();
    };
    const { history, model } = await distill({ model: masked(smallClassifier(1)), teacher: masked(smallClassifier(5)), samples: stripes(160, 3, false), options: { ...options, temperature: 1 } });
    expect(history.at(-1)!.loss).toBeLessThan(history[0]!.loss / 2);
    expect(floatsOf(model.graph.initializer.find(({ name }) => name === masked(smallClassifier(1)).graph.initializer.at(-1)!.name)!)).toEqual(Float32Array.of(0, 0, excluding));
  });

  it('learns from samples that are all alike, whose layers see nothing vary', async () => {
    const same: TrainingSamples = { count: 64, dims: { image: [2, 8, 8] }, batch: (indices) => Promise.resolve({ inputs: { image: floats(new Float32Array(indices.length * 128).fill(0.5), [indices.length, 2, 8, 8]) } }) };
    const { history } = await distill({ model: smallClassifier(1), teacher: smallClassifier(5), samples: same, options: { ...options, learningRate: 0.005, epochs: 4, temperature: 1 } });
    expect(history.at(-1)!.loss).toBeLessThan(history[0]!.loss);
  });

  it('keeps pruned weights at zero', async () => {
    const model = smallClassifier(1), weight = model.graph.initializer.find(({ name }) => name === 'third.weight')!;
    const values = floatsOf(weight).map((value, i) => (i % 3 === 0 ? 0 : value));
    weight.rawData = new Uint8Array(values.buffer);
    const { model: trained } = await finetune({ model, samples: stripes(64, 2), options: { ...options, keepZeros: true } });
    const after = floatsOf(trained.graph.initializer.find(({ name }) => name === 'third.weight')!);
    expect(after.every((value, i) => (value === 0) === (i % 3 === 0))).toBe(true);
  });

  it('says what is missing', async () => {
    const model = smallClassifier(1), samples = stripes(64, 2);
    await expect(finetune({ model, samples, options: { ...options, distillation: 0.5 } })).rejects.toThrow(/needs the original model as teacher/);
    await expect(finetune({ model, samples: stripes(64, 2, false), options })).rejects.toThrow(/no labels/);
    await expect(finetune({ model, samples: stripes(10, 2), options })).rejects.toThrow(/fewer than one batch/);
    const odd = new GraphBuilder();
    odd.output(odd.op('Acosh', [odd.op('Gemm', [odd.input('x', ['batch', 3]), odd.floats([3, 2], new Float32Array(6).fill(1))])]), 'y', ['batch', 2]);
    await expect(finetune({ model: odd.model(), samples: { count: 32, dims: { x: [3] }, batch: (i) => Promise.resolve({ inputs: { x: floats(new Float32Array(3 * i.length), [i.length, 3]) }, labels: new Int32Array(i.length) }) }, options })).rejects.toThrow(/Acosh.*no gradient rule/);
  });
});

describe('affordableViews', () => {
  it.each([[9, 1.5, 3], [39, 0.4, 0], [4, 0.5, 0], [10, 0.75, 6], [2, 10, 1], [1, 10, 0], [5, 0, 0]])('%i epochs with a teacher of %f steps: %i', (epochs, teacherCost, views) => {
    expect(affordableViews(epochs, teacherCost)).toBe(views);
    expect(affordableViews(epochs, teacherCost, views)).toBe(views);
    expect(affordableViews(epochs, teacherCost, views - 1)).toBe(0); // what can't be remembered is new in every epoch
    expect((views || epochs) * teacherCost).toBeLessThanOrEqual(Math.max(teacherCost, epochs / 2)); // half, but each image is shown to it at least once
  });
});
