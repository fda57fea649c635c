/**
 * The paper's tables on our networks: npm run bench:paper [-- --only NETWORK[@MACS] ...] [--methods 'ours;uniform;...'] [--seeds 0,1,2] [--latency]
 * Every finished row is appended to docs/results.jsonl at once; rows that are there are not measured again, so that the whole may be done in pieces.
 * --latency measures the time of every row's model again that is still in bench/out, for when the machine was not quiet, and nothing else.
 * At the end docs/results.md is written from all rows. Search and choice see val5k only; the 10,000 test images are looked at once, at the end.
 */
import { execFileSync } from 'node:child_process';
import { appendFileSync, copyFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { join, resolve } from 'node:path';
import type { GraphProto, ModelProto } from 'onnx-buf';
import { measureLatency, median } from '../src/engine/evaluation/latency.ts';
import { withPreprocessing } from '../src/engine/evaluation/recordedPreprocessing.ts';
import { compress } from '../src/engine/compress.ts';
import { type Calibration, calibrate } from '../src/engine/flow/calibrate.ts';
import { openNetwork } from '../src/engine/flow/network.ts';
import { makeBy, rebuild } from '../src/engine/flow/rebuild.ts';
import { Search } from '../src/engine/flow/search.ts';
import { openTask } from '../src/engine/flow/task.ts';
import { loadModel, saveModel } from '../src/engine/onnx/modelFile.ts';
import { openDataset } from '../src/engine/data/openDataset.ts';
import { evaluateModel } from '../src/engine/evaluation/evaluate.ts';
import { type CompressOptions, parseCompressOptions } from '../src/engine/protocol.ts';
import { analyse } from '../src/engine/pruning/analysis.ts';
import { channelOrders } from '../src/engine/pruning/importance.ts';
import { applyPlan } from '../src/engine/pruning/surgery.ts';
import { allocate, fillBudget } from '../src/engine/rl/allocation.ts';
import { CandidateJudge } from '../src/engine/rl/candidateJudge.ts';
import { handMade, scaleToBudget } from '../src/engine/rl/policies.ts';
import type { Counts } from '../src/engine/rl/searchSpace.ts';
import { createRunFolder } from '../src/engine/run/runFolder.ts';
import { testImages } from './cifar10.ts';

interface Row { network: string; macsTarget: number; method: string; seed: number; val: number; test: number; macs: number; params: number; latency: number; seconds: number; episodes: number; measured: string; /** When its time was measured again. */ timed?: string; machine: string; commit: string }

const args = process.argv.slice(2), option = (name: string): string | undefined => (args.includes(name) ? args[args.indexOf(name) + 1] : undefined);
const rowsFile = 'docs/results.jsonl', models = '../shared/models/cifar10', data = '../shared/data/cifar10';
const settings = [['plain20', 0.5], ['resnet56', 0.5], ['mobilenetv1', 0.5], ['vgg16', 0.25], ['mobilenetv2', 0.7], ['resnet20', 0.5], ['mobilenetv2', 0.5], ['vgg16', 0.5], ['plain20', 0.7], ['resnet20', 0.7], ['resnet56', 0.7], ['mobilenetv1', 0.7]] as const;
const methods = ['original', 'ours', 'ours, not refined', 'ours, fine-tuned', 'uniform', 'shallow', 'deep', 'hand-crafted', 'uniform, no repair', 'allocation alone', 'random search', "paper's agent"] as const;
type Method = (typeof methods)[number];

const only = args.includes('--only') ? args.slice(args.indexOf('--only') + 1).slice(0, Math.max(0, [...args.slice(args.indexOf('--only') + 1), '--'].findIndex((arg) => arg.startsWith('--')))) : [];
/** Minutes of training on labels, as planned from the time of a step. */
const finetuneMinutes = 30;
const wantedMethods = option('--methods')?.split(';') ?? [...methods], seeds = (option('--seeds') ?? '0,1,2').split(',').map(Number);
const unknown = wantedMethods.filter((method) => !(methods as readonly string[]).includes(method));
if (unknown.length > 0) throw new Error(`--methods takes ${methods.join(', ')}, with semicolons between them; not ${unknown.join(', ')}`);
const rows: Row[] = existsSync(rowsFile) ? readFileSync(rowsFile, 'utf8').trim().split('\n').filter(Boolean).map((line) => JSON.parse(line) as Row) : [];
const machine = `${cpus()[0]!.model.trim()}, ${cpus().length} cores`;
const commit = execFileSync('git', ['rev-parse', '--short', 'HEAD'], { encoding: 'utf8' }).trim();

const accuracyOn = async (model: string, path: string): Promise<number> => {
  const dataset = await openDataset(path);
  try { return (await evaluateModel((await loadModel(model)).proto, dataset, { seed: 0 })).value; } finally { await dataset.close(); }
};

/** Ratios of He, Zhang, Sun 2017 (section 4.1.2) for VGG-16: conv1 to conv3 against conv4 as 1 : 1.5, conv5 whole. */
const handCrafted = ({ space, goal: { limits: [{ budget }] } }: Calibration): Counts | undefined => (space.groups.length < 12 ? undefined : scaleToBudget(space, space.groups.map((_, i) => (i < 7 ? 1 : i < 10 ? 1.5 : 1000)), budget));

interface Made { readonly method: Method; readonly file: string; readonly episodes: number; readonly seconds: number }

const fileFor = ({ network, macsTarget, method, seed }: Pick<Row, 'network' | 'macsTarget' | 'method' | 'seed'>): string => resolve(`bench/out/paper/${network}-${macsTarget}-${method.replace(/\W+/g, '-')}-${seed}.onnx`);

/** Makes the models of some methods on one network. Those that only differ in how channels are allocated share one calibration, whose seconds each of them is charged with. */
async function* make(network: string, macsTarget: number, wanted: readonly Method[], seed: number): AsyncGenerator<Made> {
  const fileOf = (method: Method): string => fileFor({ network, macsTarget, method, seed }), allocated: Method[] = [];
  const optionsFor = (method: Method): CompressOptions => parseCompressOptions({
    model: resolve(`${models}/${network}.onnx`), val: resolve(`${data}/val5k.npz`), calibration: resolve(`${data}/train10k.npz`), target: { metric: 'macs', value: macsTarget }, seed, out: fileOf(method), runDir: `${fileOf(method)}.${Date.now()}`,
  });
  mkdirSync('bench/out/paper', { recursive: true });
  for (const method of wanted) {
    const options = optionsFor(method), start = performance.now();
    if (method === 'original') yield { method, file: options.model, episodes: 0, seconds: 0 };
    else if (method === 'ours') {
      const { episodes, seconds } = await compress(options, context);
      yield { method, file: options.out!, episodes, seconds: since(start) };
      const unrefined = join(options.runDir!, 'reconstructed.onnx'), file = fileOf('ours, not refined');
      if (!existsSync(unrefined)) continue;
      copyFileSync(unrefined, file);
      yield { method: 'ours, not refined', file, episodes, seconds: seconds['total']! - (seconds['refine'] ?? 0) };
    } else if (method === 'ours, fine-tuned') {
      if (!existsSync(fileOf('ours'))) { console.log(`${fileOf('ours')} is not there: ${method} needs the model of "ours"`); continue; }
      execFileSync(process.execPath, ['scripts/run.mjs', 'bench/finetune.ts', fileOf('ours'), '--teacher', options.model, '--train', 'npm45k', '--minutes', String(finetuneMinutes), '--out', fileOf(method)], { stdio: 'inherit' });
      yield { method, file: fileOf(method), episodes: 0, seconds: since(start) };
    } else if (method !== 'ours, not refined') allocated.push(method);
  }
  if (allocated.length === 0) return;

  const start = performance.now(), shared = optionsFor(allocated[0]!), original = await openNetwork(shared.model), task = await openTask(original, shared, context.signal);
  const calibration = await calibrate(original, task, shared, context.signal, () => undefined), thorough = await calibration.thorough(), prepared = since(start);
  const { space, goal: { limits: [{ budget }] } } = calibration, judge = new CandidateJudge(original.proto, space, task.judge);
  for (const method of allocated) {
    const began = performance.now(), options = optionsFor(method), file = fileOf(method), save = (model: typeof original.proto): Promise<void> => saveModel(withPreprocessing(model, task.preparation.recipe), file);
    let counts: Counts | undefined, episodes = 0;
    switch (method) {
      case 'random search': case "paper's agent": { // repaired and chosen as ours is: the best candidates are made again and judged on all of val5k
        const run = await createRunFolder(options), search = new Search(calibration, task, judge, { ...options, agent: 'paper' }, run, context);
        await search.anchor();
        const found = await (method === 'random search' ? search.random() : search.agent());
        await run.close();
        const { winner } = await rebuild(found, [], makeBy(calibration, judge, task.judge, context.signal), () => undefined);
        ({ episodes } = search);
        await save(await winner.model());
        yield { method, file, episodes, seconds: prepared + since(began) };
        continue;
      }
      case 'allocation alone': counts = fillBudget(space, allocate(space, budget, 1)!, budget, 1); break;
      case 'hand-crafted': counts = handCrafted(calibration); break;
      default: counts = handMade(space, method === 'uniform, no repair' ? 'uniform' : method as 'uniform', budget);
    }
    if (!counts) continue;
    if (method === 'uniform, no repair') {
      const widths = counts, orders = channelOrders(original.proto, original.analysis);
      await save(applyPlan(original.proto, original.analysis, new Map(space.groups.map(({ group }, i) => [group.id, orders.get(group.id)!.slice(0, widths[i]).sort((a, b) => a - b)]))));
    } else await save(await judge.make(counts, thorough));
    yield { method, file, episodes, seconds: prepared + since(began) };
  }
}

/** Time of one run at batch 1, as a fraction of the original's. */
async function latencyOf(original: ModelProto & { graph: GraphProto }, model: typeof original): Promise<number> {
  const [before, after] = await measureLatency([original, model], { batch: 1, threads: 0 });
  return after!.median / before!.median;
}

async function measureLatencyAgain(): Promise<void> {
  for (const row of rows.filter((each) => existsSync(fileFor(each)))) {
    const before = row.latency, original = await loadModel(resolve(`${models}/${row.network}.onnx`));
    row.latency = await latencyOf(original.proto, (await loadModel(fileFor(row))).proto);
    row.timed = today();
    console.log(`${row.network} ${row.macsTarget} ${row.method} seed ${row.seed}: latency ${before.toFixed(2)} -> ${row.latency.toFixed(2)}`);
  }
  writeFileSync(rowsFile, rows.map((row) => `${JSON.stringify(row)}\n`).join(''));
}

async function measure(network: string, macsTarget: number, seed: number, { method, file, episodes, seconds }: Made): Promise<Row> {
  const original = await openNetwork(resolve(`${models}/${network}.onnx`)), { proto } = await loadModel(file), { macs, params } = await analyse(proto);
  return {
    network, macsTarget, method, seed, val: await accuracyOn(file, `${data}/val5k.npz`), test: await accuracyOn(file, await testImages()), macs: macs / original.analysis.macs, params: params / original.analysis.params,
    latency: await latencyOf(original.proto, proto), seconds: Math.round(seconds), episodes, measured: today(), machine, commit,
  };
}

const today = (): string => new Date().toISOString().slice(0, 10);
const since = (start: number): number => (performance.now() - start) / 1000;
const percent = (value: number): string => (100 * value).toFixed(2);
const spread = (values: readonly number[], show: (value: number) => string): string => (values.length === 1 ? show(values[0]!) : `${show(median(values))} (${show(Math.min(...values))} to ${show(Math.max(...values))})`);

/** What the paper (arXiv 1802.03494) states of comparable networks, top-1 of the test images in percent; of VGG-16 it states only what is gained over the hand-crafted ratios. */
const published = [
  { network: 'plain20', macs: 0.5, named: 'Plain-20', original: '90.5', uniform: '83.9', shallow: '82.9', deep: '79.2', agent: '86.0', finetuned: '90.2' },
  { network: 'resnet56', macs: 0.5, named: 'ResNet-56', original: '92.8', uniform: '87.4', shallow: '', deep: '88.4', agent: '90.1', finetuned: '91.9' },
] as const;

/** The paper's figures, and those of its authors' code, each above ours. */
function besideThePaper(): string[] {
  const of = (network: string, macs: number, method: Method): number => median(rows.filter((row) => row.network === network && row.macsTarget === macs && row.method === method).map(({ test }) => test));
  const shown = (value: number): string => (Number.isNaN(value) ? '' : percent(value)), ours = (network: string, macs: number): string =>
    `| ${network}, ours | ${(['original', 'uniform', 'shallow', 'deep', 'ours, not refined', 'ours', 'ours, fine-tuned'] as const).map((method) => shown(of(network, macs, method))).join(' | ')} |`;
  const gained = of('vgg16', 0.25, 'ours, not refined') - of('vgg16', 0.25, 'hand-crafted');
  return [
    '## Beside the paper', '', 'Top-1 of the test images at half the MACs. The networks have the same layers and were trained by others: compare what is lost. The paper (arXiv 1802.03494) trains nothing before the last column, and fine-tunes on a GPU to the end; ours is about '
    + `${finetuneMinutes} minutes on two cores. Medians of the seeds below.`, '',
    '| network | original | uniform | shallow | deep | agent, not trained | refined without labels | fine-tuned |', '| --- | --- | --- | --- | --- | --- | --- | --- |',
    ...published.flatMap(({ network, macs, named, original, uniform, shallow, deep, agent, finetuned }) => [`| ${named}, paper | ${[original, uniform, shallow, deep, agent, '', finetuned].join(' | ')} |`, ours(network, macs)]),
    '| mobilenetv1, the authors\' code on the same weights | 91.04 |  |  |  | 90.10 |  |  |', ours('mobilenetv1', 0.5), '',
    `VGG-16 at a quarter of its MACs: the paper's agent is 2.7 points above the hand-crafted ratios of He, Zhang, Sun 2017; ours, not trained either, ${(100 * gained).toFixed(1)} points (vgg16, below; other images and weights).`, '',
  ];
}

/** docs/results.md from all rows: medians over seeds, with the least and the greatest. */
function writeResults(): void {
  const lines = ['# Results', '', `Written by \`npm run bench:paper\` from docs/results.jsonl, which holds every row with its date, commit and machine. Unless it says fine-tuned, no labels were used but those of the search's reward; the search and every choice saw val5k (5,000 images), never the 10,000 test images. Median of the seeds, least and greatest in brackets. "ours" is one command with default settings; "not refined" is the same run before its label-free refinement; "fine-tuned" is its model after about ${finetuneMinutes} more minutes of training on the labels of 45,000 training images (the seconds are those); "random search" and "paper's agent" (it begins cold, as with \`--agent paper\`) had as many episodes, and their candidates were scored, repaired and chosen as ours, not refined. Seconds are of a two-core machine that was not always quiet; latency is batch 1, measured in turn with the original; with a star, that of some of the seeds or all was measured again afterwards by a process that did nothing else (\`--latency\`), and came out as much as a fifth lower than right after the search.`, '', ...besideThePaper()];
  for (const [network, macsTarget] of settings) {
    const own = rows.filter((row) => row.network === network && row.macsTarget === macsTarget);
    if (!own.some(({ method }) => method !== 'original')) continue;
    lines.push(`## ${network}, ${macsTarget} of the MACs`, '', '| method | test top-1 | val5k top-1 | MACs | parameters | latency | episodes | seconds | seeds | commit |', '| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |');
    for (const method of methods) {
      const of = own.filter((row) => row.method === method);
      if (of.length === 0) continue;
      lines.push(`| ${method} | ${spread(of.map(({ test }) => test), percent)} | ${spread(of.map(({ val }) => val), percent)} | ${median(of.map(({ macs }) => macs)).toFixed(3)} | ${median(of.map(({ params }) => params)).toFixed(3)} | ${spread(of.map(({ latency }) => latency), (value) => value.toFixed(2))}${of.some(({ timed }) => timed) ? '*' : ''} | ${median(of.map(({ episodes }) => episodes))} | ${Math.round(median(of.map(({ seconds }) => seconds)))} | ${of.map(({ seed }) => seed).sort((a, b) => a - b).join(', ')} | ${[...new Set(of.map((row) => row.commit))].join(', ')} |`);
    }
    lines.push('');
  }
  writeFileSync('docs/results.md', lines.join('\n'));
  execFileSync(process.execPath, ['scripts/readmeResults.mjs']); // the table of the README
}

const context = { emit: () => undefined, signal: new AbortController().signal };
if (args.includes('--latency')) await measureLatencyAgain();
else for (const seed of seeds) for (const [network, macsTarget] of settings) {
  if (only.length > 0 && !only.includes(network) && !only.includes(`${network}@${macsTarget}`)) continue;
  const missing = (wantedMethods as Method[]).filter((method) => !(method === 'original' && seed !== seeds[0]) && !rows.some((row) => row.network === network && row.macsTarget === macsTarget && row.method === method && row.seed === seed));
  for await (const made of make(network, macsTarget, missing, seed)) {
    const row = await measure(network, macsTarget, seed, made);
    rows.push(row);
    appendFileSync(rowsFile, `${JSON.stringify(row)}\n`);
    console.log(`${network} ${macsTarget} ${made.method} seed ${seed}: val5k ${percent(row.val)}, test ${percent(row.test)}, MACs ${row.macs.toFixed(3)}, latency ${row.latency.toFixed(2)}, ${row.seconds} s, ${row.episodes} episodes`);
    writeResults();
  }
}
writeResults();
