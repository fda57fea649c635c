/**
 * Every target with every method on the CIFAR-10 models: model x target x method -> MACs, parameters, size, measured latency ratio, accuracy without and with fine-tuning.
 * node scripts/run.mjs bench/targets.ts [--only TEXT ...] [--episodes N] [--finetune EPOCHS] [--val DATA] [--calibration DATA] [--models DIR] [--list] [--redo]
 * Rows are kept in bench/out/targets.json and a run goes on with those that are missing; --only takes rows whose name holds the text. Each row is one `compress`
 * of the command line's engine in this process, in a run folder of its own under bench/out/targets, which is resumed where it was stopped.
 * Rows: MODEL TARGET METHOD, such as "mobilenetv1 latency=0.5 channels"; "agreement" rows search without labels and are judged with them afterwards.
 */
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { compress, resume } from '../src/engine/compress.ts';
import { UnreachableTargetError, messageOf } from '../src/engine/errors.ts';
import { evaluateFiles } from '../src/engine/evaluation/evaluate.ts';
import { benchmark } from '../src/engine/evaluation/latency.ts';
import { type CompressRequest, type Report, parseCompressOptions, parseTarget } from '../src/engine/protocol.ts';

const { values: args } = parseArgs({ options: {
  only: { type: 'string', multiple: true }, episodes: { type: 'string' }, finetune: { type: 'string', default: '10' }, list: { type: 'boolean', default: false }, redo: { type: 'boolean', default: false },
  val: { type: 'string', default: '../shared/data/cifar10/val5k.npz' }, calibration: { type: 'string', default: '../shared/data/cifar10/train10k.npz' }, models: { type: 'string', default: '../shared/models/cifar10' },
} });

interface Row { model: string; target: string; method: 'channels' | 'weights'; metric?: 'agreement' }
interface Result {
  name: string; failure?: string; episodes: number; finetune: number; seconds: number;
  /** Fractions of the original's. `params` counts what is not zero, `size` is the file's, or with --method weights what bitmap and values take. */
  macs: number; params: number; size: number;
  latency: { value: number; low: number; high: number };
  /** Accuracy on labelled validation images: of the original, after the search and the repair, and after fine-tuning. */
  before: number; repaired: number; finetuned: number | null; policy: string;
}

const models = ['plain20', 'resnet56', 'mobilenetv1', 'mobilenetv2', 'vgg16'];
const rows: Row[] = [
  ...models.flatMap((model): Row[] => [
    ...['macs=0.5', 'params=0.5', 'size=0.5', 'latency=0.5', 'accuracy-drop=1'].map((target): Row => ({ model, target, method: 'channels' })),
    ...['params=0.2', 'size=0.2', 'accuracy-drop=1'].map((target): Row => ({ model, target, method: 'weights' })),
  ]),
  { model: 'mobilenetv1', target: 'macs=0.5', method: 'channels', metric: 'agreement' },
];
const nameOf = ({ model, target, method, metric }: Row): string => [model, target, method, ...(metric ? [metric] : [])].join(' ');

const folder = resolve('bench/out/targets'), file = resolve('bench/out/targets.json');
mkdirSync(folder, { recursive: true });
const known = new Map<string, Result>(existsSync(file) ? (JSON.parse(readFileSync(file, 'utf8')) as Result[]).map((result) => [result.name, result]) : []);

async function measure(row: Row): Promise<Result> {
  const name = nameOf(row), finetune = Number(args.finetune), stem = join(folder, name.replaceAll(/[^\w.=-]/g, '_')), out = `${stem}.onnx`, model = resolve(args.models, `${row.model}.onnx`);
  const request: CompressRequest = {
    model, val: resolve(args.val), calibration: resolve(args.calibration), target: parseTarget(row.target), method: row.method, out, runDir: stem, finetune, ...(finetune > 0 ? { train: resolve(args.calibration) } : {}),
    ...(row.metric ? { metric: row.metric } : {}), ...(args.episodes === undefined ? {} : { episodes: Number(args.episodes) }),
  };
  const context = { emit: () => undefined, signal: new AbortController().signal };
  if (args.redo) rmSync(stem, { recursive: true, force: true });
  const start = performance.now();
  const blank = { name, episodes: 0, finetune, seconds: 0, macs: NaN, params: NaN, size: NaN, latency: { value: NaN, low: NaN, high: NaN }, before: NaN, repaired: NaN, finetuned: null, policy: '' };
  let report: Report;
  try {
    report = existsSync(join(stem, 'options.json')) ? await resume(stem, context) : await compress(parseCompressOptions(request), context);
  } catch (error) {
    if (!(error instanceof UnreachableTargetError)) throw error;
    return { ...blank, failure: messageOf(error) };
  }
  const { before, after, steps, episodes, policy } = report, [{ ratio } = { ratio: undefined }] = (await benchmark(out, model, { batches: [1], seconds: 10 })).batches;
  // what an unlabelled search lost is told by labels afterwards
  const judged = async (path: string): Promise<number> => (await evaluateFiles(path, resolve(args.val), { metric: 'top1' })).value;
  const unlabelled = row.metric === 'agreement', repaired = finetune > 0 ? join(stem, 'reconstructed.onnx') : out;
  return {
    ...blank, episodes, policy, seconds: (performance.now() - start) / 1000, macs: after.macs / before.macs,
    params: after.sparse && before.sparse ? after.sparse.nonZero / before.sparse.nonZero : after.params / before.params, size: (after.sparse?.storedBytes ?? after.sizeBytes) / before.sizeBytes,
    latency: ratio ?? blank.latency, before: unlabelled ? await judged(model) : before.accuracy.value, repaired: unlabelled ? await judged(repaired) : steps[0]!.accuracy,
    finetuned: finetune === 0 ? null : unlabelled ? await judged(out) : after.accuracy.value,
  };
}

const percent = (value: number | null): string => (value === null || Number.isNaN(value) ? '-' : (100 * value).toFixed(2));
const fraction = (value: number): string => (Number.isNaN(value) ? '-' : value.toFixed(3));
console.log('| row | MACs | parameters | size | latency ratio (95%) | before | repaired | fine-tuned | policy | episodes | s |\n| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |');
for (const row of rows) {
  const name = nameOf(row);
  if (args.only && !args.only.some((text) => name.includes(text))) continue;
  if (args.list) { console.log(`| ${name} |`); continue; }
  let result = known.get(name);
  if (!result || args.redo) {
    result = await measure(row);
    known.set(name, result);
    writeFileSync(file, `${JSON.stringify([...known.values()], undefined, 1)}\n`);
  }
  const { macs, params, size, latency, before, repaired, finetuned, policy, episodes, seconds, failure } = result;
  console.log(failure ? `| ${name} | ${failure} |` : `| ${name} | ${fraction(macs)} | ${fraction(params)} | ${fraction(size)} | ${fraction(latency.value)} (${fraction(latency.low)} to ${fraction(latency.high)}) | ${percent(before)} | ${percent(repaired)} | ${percent(finetuned)} | ${policy} | ${episodes} | ${seconds.toFixed(0)} |`);
}
