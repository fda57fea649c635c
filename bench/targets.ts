/**
 * Every target with every method on the CIFAR-10 models: model x target x method -> MACs, parameters, size, measured latency ratio, accuracy without and with fine-tuning.
 * npm run bench:targets [-- --only TEXT ...] [--episodes N] [--finetune EPOCHS] [--list] [--redo]
 * Fine-tuning is on the labels of the 45,000 training images of bench/cifar10.ts, in place of the refinement without labels; --finetune 0 refines instead.
 * Rows are kept in docs/targets.jsonl and a run goes on with those that are missing; --only takes rows whose name holds the text. docs/targets.md is written from all of them. Each row is one
 * `compress` of the command line's engine in this process, in a run folder of its own under bench/out/targets, which is resumed where it was stopped.
 * Rows: MODEL TARGET METHOD, such as "mobilenetv1 latency=0.5 channels"; "agreement" rows search without labels and are judged with them afterwards, except graphs of the zoo
 * ("SOURCE__NAME"), whose weights and inputs are made up: they show that a graph goes through, and tell nothing about accuracy.
 */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { compress, resume } from '../src/engine/compress.ts';
import { UnreachableTargetError, messageOf } from '../src/engine/errors.ts';
import { evaluateFiles } from '../src/engine/evaluation/evaluate.ts';
import { benchmark } from '../src/engine/evaluation/latency.ts';
import { type CompressRequest, type Report, parseCompressOptions, parseTarget } from '../src/engine/protocol.ts';
import { testImages, trainingImages } from './cifar10.ts';
import { fillZooModel, writeMadeUpInputs } from './zooModel.ts';

const { values: args } = parseArgs({ options: {
  only: { type: 'string', multiple: true }, episodes: { type: 'string' }, finetune: { type: 'string', default: '3' }, list: { type: 'boolean', default: false }, redo: { type: 'boolean', default: false },
} });
const models = '../shared/models/cifar10', data = '../shared/data/cifar10', rowsFile = 'docs/targets.jsonl';

interface Row { model: string; target: string; method: 'channels' | 'weights'; metric?: 'agreement' }
interface Result {
  name: string; failure?: string; measured: string; machine: string; commit: string; episodes: number; finetune: number; seconds: number;
  /** Fractions of the original's. `params` counts what is not zero, `size` is the file's, or with --method weights what bitmap and values take. */
  macs: number; params: number; size: number;
  latency: { value: number; low: number; high: number };
  /** Accuracy on labelled validation images (val5k; agreement for graphs of the zoo): of the original, after the search and the repair, and after fine-tuning or refinement. */
  before: number; repaired: number; trained: number; policy: string;
  /** The same of the 10,000 test images, which no search saw; rows measured before they were asked, and graphs of the zoo, have none. */
  test?: { before: number; repaired: number; trained: number };
}

const networks = ['plain20', 'resnet56', 'mobilenetv1', 'mobilenetv2', 'vgg16'];
const rows: Row[] = [
  ...networks.flatMap((model): Row[] => [
    ...['macs=0.5', 'params=0.5', 'size=0.5', 'latency=0.5', 'accuracy-drop=1'].map((target): Row => ({ model, target, method: 'channels' })),
    ...['params=0.2', 'size=0.2', 'accuracy-drop=1'].map((target): Row => ({ model, target, method: 'weights' })),
  ]),
  // about as fast as one another: is what was searched for by time more accurate? latency=0.5 beside macs=0.35, latency=0.6 beside macs=0.5
  { model: 'mobilenetv1', target: 'macs=0.35', method: 'channels' }, { model: 'mobilenetv1', target: 'latency=0.6', method: 'channels' },
  { model: 'mobilenetv1', target: 'macs=0.5', method: 'channels', metric: 'agreement' },
  ...['seg__lraspp_mobilenet_v3_large', 'timm__vit_xsmall_patch16_clip_224'].map((model): Row => ({ model, target: 'macs=0.7', method: 'channels', metric: 'agreement' })),
];
const nameOf = ({ model, target, method, metric }: Row): string => [model, target, method, ...(metric ? [metric] : [])].join(' ');

const folder = resolve('bench/out/targets'), machine = `${cpus()[0]!.model.trim()}, ${cpus().length} cores`, commit = execFileSync('git', ['rev-parse', '--short', 'HEAD'], { encoding: 'utf8' }).trim();
mkdirSync(folder, { recursive: true });
const known = new Map<string, Result>(existsSync(rowsFile) ? readFileSync(rowsFile, 'utf8').trim().split('\n').filter(Boolean).map((line) => JSON.parse(line) as Result).map((result) => [result.name, result]) : []);

async function measure(row: Row): Promise<Result> {
  const name = nameOf(row), zoo = row.model.includes('__'), finetune = zoo ? 0 : Number(args.finetune), stem = join(folder, name.replaceAll(/[^\w.=-]/g, '_')), out = `${stem}.onnx`;
  const model = zoo ? await fillZooModel(row.model, join(folder, row.model)) : resolve(models, `${row.model}.onnx`), val = zoo ? writeMadeUpInputs(row.model, join(folder, row.model), 128) : resolve(data, 'val5k.npz'), calibration = resolve(data, 'train10k.npz');
  const request: CompressRequest = {
    model, val, ...(zoo ? {} : { calibration }), target: parseTarget(row.target), method: row.method, out, runDir: stem, finetune, ...(finetune > 0 ? { train: await trainingImages(val), refine: 0 } : {}),
    ...(row.metric ? { metric: row.metric } : {}), ...(args.episodes === undefined ? {} : { episodes: Number(args.episodes) }),
  };
  const context = { emit: () => undefined, signal: new AbortController().signal };
  if (args.redo) rmSync(stem, { recursive: true, force: true });
  const start = performance.now();
  const blank = { name, measured: new Date().toISOString().slice(0, 10), machine, commit, episodes: 0, finetune, seconds: 0, macs: NaN, params: NaN, size: NaN, latency: { value: NaN, low: NaN, high: NaN }, before: NaN, repaired: NaN, trained: NaN, policy: '' };
  let report: Report;
  try {
    report = existsSync(join(stem, 'options.json')) ? await resume(stem, context) : await compress(parseCompressOptions(request), context);
  } catch (error) {
    if (!(error instanceof UnreachableTargetError)) throw error;
    return { ...blank, failure: messageOf(error) };
  }
  const { before, after, steps, episodes, policy } = report, [{ ratio } = { ratio: undefined }] = (await benchmark(out, model, { batch: 1, seconds: 10 })).batches;
  // what an unlabelled search lost is told by labels afterwards
  const judged = async (path: string): Promise<number> => (await evaluateFiles(path, val, { metric: 'top1' })).value;
  const unlabelled = row.metric === 'agreement' && !zoo, written = join(stem, 'reconstructed.onnx'), repaired = existsSync(written) ? written : out;
  const unseen = zoo ? undefined : await testImages(), onTest = async (path: string): Promise<number> => (await evaluateFiles(path, unseen!, { metric: 'top1' })).value;
  const test = unseen === undefined ? undefined : { before: await onTest(model), repaired: await onTest(repaired), trained: await onTest(out) };
  if (zoo) rmSync(join(folder, row.model), { recursive: true });
  return {
    ...blank, episodes, policy, seconds: (performance.now() - start) / 1000, macs: after.macs / before.macs,
    params: after.sparse && before.sparse ? after.sparse.nonZero / before.sparse.nonZero : after.params / before.params, size: (after.sparse?.storedBytes ?? after.sizeBytes) / before.sizeBytes,
    latency: ratio ?? blank.latency, before: unlabelled ? await judged(model) : before.accuracy.value, repaired: unlabelled ? await judged(repaired) : steps[0]!.accuracy,
    trained: unlabelled ? await judged(out) : after.accuracy.value, ...(test ? { test } : {}),
  };
}

const percent = (value: number): string => (100 * value).toFixed(2), fraction = (value: number): string => value.toFixed(3);
function lineOf({ name, macs, params, size, latency, before, repaired, trained, test, finetune, policy, episodes, seconds, failure, commit: at }: Result): string {
  if (failure !== undefined) return `| ${name} | ${failure} |`;
  return `| ${name} | ${fraction(macs)} | ${fraction(params)} | ${fraction(size)} | ${fraction(latency.value)} (${fraction(latency.low)} to ${fraction(latency.high)}) | ${percent(before)} | ${percent(repaired)} | ${percent(trained)} | ${test ? [test.before, test.repaired, test.trained].map(percent).join(', ') : ''} | ${finetune} | ${policy} | ${episodes} | ${seconds.toFixed(0)} | ${at} |`;
}
const head = '| model, target, method | MACs | parameters | size | latency ratio (95%) | before | repaired | trained | test images | epochs | policy | episodes | s | commit |\n| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |';

/** docs/targets.md from all rows, and the rows themselves. */
function writeTable(): void {
  const all = rows.flatMap((row) => known.get(nameOf(row)) ?? []);
  writeFileSync(rowsFile, all.map((result) => `${JSON.stringify(result)}\n`).join(''));
  writeFileSync('docs/targets.md', `${['# Targets and methods', '', `Written by \`npm run bench:targets\` from docs/targets.jsonl, which holds every row with its date, commit and machine; rows that are missing have not been measured. Fractions of the original; parameters are those that are not zero, size is the file's, with \`weights\` that of bitmap and values; accuracy is of the 5,000 validation images that the search saw ("trained": after so many epochs of fine-tuning on 45,000 labelled images as a later column says, in place of the default refinement without labels; with 0 epochs, after that refinement), and for graphs of the zoo, whose weights and inputs are made up, agreement with the original. The column of test images has the same three of 10,000 images which no search saw. One seed; seconds on a two-core machine that was not always quiet.`, '', head, ...all.map(lineOf)].join('\n')}\n`);
}

console.log(head);
for (const row of rows) {
  const name = nameOf(row);
  if (args.only && !args.only.some((text) => name.includes(text))) continue;
  if (args.list) { console.log(`| ${name} |`); continue; }
  let result = known.get(name);
  if (!result || args.redo) {
    result = await measure(row);
    known.set(name, result);
    writeTable();
  }
  console.log(lineOf(result));
}
if (!args.list) writeTable();
