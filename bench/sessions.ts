/**
 * What onnxruntime's options and the batch cost a candidate: node scripts/run.mjs bench/sessions.ts MODEL.onnx ... [--images 480]
 * For each setting the median milliseconds to load the model, to run it on the images, and to let it go; settings are measured in turn.
 */
import * as ort from 'onnxruntime-node';
import { median } from '../src/engine/evaluation/latency.ts';
import { loadModel } from '../src/engine/onnx/modelFile.ts';
import { sessionArguments } from '../src/engine/runtime/session.ts';
import { declaredDims } from '../src/engine/runtime/shapes.ts';

const args = process.argv.slice(2), at = args.indexOf('--images'), images = Number(at < 0 ? 480 : args[at + 1]), paths = args.filter((_, i) => i !== at && (at < 0 || i !== at + 1));
const rounds = 7;
const options: Record<string, ort.InferenceSession.SessionOptions> = {
  'as it is': {}, 'basic optimisation': { graphOptimizationLevel: 'basic' }, 'extended optimisation': { graphOptimizationLevel: 'extended' }, 'no arena': { enableCpuMemArena: false },
  'no memory pattern': { enableMemPattern: false }, 'no prepacked weights': { extra: { session: { disable_prepacking: '1' } } }, 'waiting threads spin': { extra: { session: { intra_op: { allow_spinning: '1' } } } }, 'one thread': { intraOpNumThreads: 1 },
};
const settings = [...[8, 16, 32, 64, 96, 160].map((batch) => ({ name: `batch ${batch}`, batch, extra: {} })), ...Object.entries(options).map(([name, extra]) => ({ name, batch: 32, extra }))];

for (const path of paths) {
  const { proto } = await loadModel(path), [bytes, usual] = sessionArguments(proto, {}), [input] = proto.graph.input, image = declaredDims(input!).slice(1).map((dim) => dim ?? 1);
  const spent = settings.map(() => ({ load: [] as number[], run: [] as number[], release: [] as number[] }));
  for (let round = 0; round < rounds; round++) for (const [i, { batch, extra }] of settings.entries()) {
    const laps = [performance.now()], lap = (): void => { laps.push(performance.now()); };
    const session = await ort.InferenceSession.create(bytes, { ...usual, ...extra });
    lap();
    for (let from = 0; from < images; from += batch) await session.run({ [session.inputNames[0]!]: new ort.Tensor('float32', new Float32Array(batch * image.reduce((a, b) => a * b, 1)).fill(0.1), [batch, ...image]) });
    lap();
    await session.release();
    lap();
    (['load', 'run', 'release'] as const).forEach((kind, k) => { spent[i]![kind].push(laps[k + 1]! - laps[k]!); });
  }
  console.log(`${path}, ${images} images\n| setting | load | run | release |\n| --- | --- | --- | --- |`);
  settings.forEach(({ name }, i) => { console.log(`| ${name} | ${median(spent[i]!.load).toFixed(1)} | ${median(spent[i]!.run).toFixed(0)} | ${median(spent[i]!.release).toFixed(1)} |`); });
}
