/**
 * How fast and how good the search is: npm run bench:search [-- episodes|target|growth|quality|memory] [--seeds 0,1,2,3,4] [--episodes 60]
 * episodes: seconds an episode against pure inference of the same networks on the same images, by what they are spent on; as many episodes as a run has, or --episodes
 * target: seconds until a repaired network of mobilenetv1 at half its MACs passes 91.62% of val5k (the authors' best after 320 s on an H100)
 * growth: seconds an episode against images, threads and layers, and with memory on ImageNet-sized graphs of ../shared/zoo with random images
 * memory: what a run of 500 episodes holds after 50 and after all of them
 * quality: agent, its first guesses alone, the agent that begins with the uniform policy, the agent with every candidate judged on all images, paper's agent, random, evolution, annealing at equal evaluations, on mobilenetv1 and plain20, or [--only NETWORK] [--policy 'NAME;NAME']
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { join, resolve } from 'node:path';
import { median } from '../src/engine/evaluation/latency.ts';
import { type Calibration, calibrate } from '../src/engine/flow/calibrate.ts';
import { type Network, openNetwork } from '../src/engine/flow/network.ts';
import { type Looking, Search } from '../src/engine/flow/search.ts';
import { type Task, openTask } from '../src/engine/flow/task.ts';
import { type CompressOptions, type CompressRequest, parseCompressOptions } from '../src/engine/protocol.ts';
import { CandidateJudge } from '../src/engine/rl/candidateJudge.ts';
import { annealing, evolution } from './otherSearches.ts';
import { fillZooModel, writeMadeUpInputs } from './zooModel.ts';
import { handMade } from '../src/engine/rl/policies.ts';
import { type Episode, type SearchOptions, paperSearch, randomSearch, warmSearch } from '../src/engine/rl/search.ts';
import type { Counts } from '../src/engine/rl/searchSpace.ts';
import { type RunFolder, createRunFolder } from '../src/engine/run/runFolder.ts';

const args = process.argv.slice(2), option = (name: string, fallback: string): string => (args.includes(name) ? args[args.indexOf(name) + 1]! : fallback);
const parts = args.filter((arg, i) => !arg.startsWith('--') && !args[i - 1]?.startsWith('--')), wants = (part: string): boolean => parts.length === 0 || parts.includes(part);
const seeds = option('--seeds', '0,1,2,3,4').split(',').map(Number), episodes = Number(option('--episodes', '60'));
const { signal } = new AbortController(), scratch = mkdtempSync(join(tmpdir(), 'search-'));
const data = { val: '../shared/data/cifar10/val5k.npz', calibration: '../shared/data/cifar10/train10k.npz' };

interface Setting { readonly options: CompressOptions; readonly network: Network; readonly task: Task; readonly calibration: Calibration; readonly judge: CandidateJudge }
let runs = 0;
const folders: RunFolder[] = [];
async function open(request: CompressRequest): Promise<Setting> {
  const options = parseCompressOptions({ runDir: join(scratch, `run${runs++}`), out: join(scratch, 'out.onnx'), ...request });
  const network = await openNetwork(options.model), task = await openTask(network, options, signal), calibration = await calibrate(network, task, options, signal, () => undefined);
  return { options, network, task, calibration, judge: new CandidateJudge(network.proto, calibration.space, task.judge, calibration.profile) };
}
const searchOf = async ({ calibration, task, judge, options }: Setting, looking: Partial<Looking> = {}): Promise<Search> => {
  const run = await createRunFolder({ ...options, runDir: join(scratch, `run${runs++}`) });
  folders.push(run);
  return new Search(calibration, task, judge, options, run, { emit: () => undefined, signal }, looking);
};
const cifar = (name: string, macs: number, seed = 0): CompressRequest => ({ model: resolve(`../shared/models/cifar10/${name}.onnx`), ...data, target: { metric: 'macs', value: macs }, seed, episodes });
const since = (start: number): number => (performance.now() - start) / 1000;
const mean = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0) / values.length;

/** Runs the agent and prints what its episodes cost. */
async function costOfEpisodes(name: string, setting: Setting, looking: Partial<Looking> = {}): Promise<void> {
  const search = await searchOf(setting, looking), anchoring = performance.now();
  await search.anchor();
  const anchorSeconds = since(anchoring), { profile } = setting.calibration, before = profile.seconds, start = performance.now(), judged = await search.agent(), seconds = since(start);
  const spent = (['refit', 'session', 'inference', 'journal', 'agent'] as const).map((what) => ({ what, each: ((profile.seconds[what] ?? 0) - (before[what] ?? 0)) / judged.length }));
  console.log(`${name}: ${judged.length} episodes, ${(seconds / judged.length).toFixed(3)} s each, ${(seconds / judged.length / spent.find(({ what }) => what === 'inference')!.each).toFixed(2)} x pure inference; images looked at: ${mean(judged.map(({ candidate }) => candidate.images!)).toFixed(0)} on average of ${search.images}; anchor ${anchorSeconds.toFixed(1)} s; peak memory ${(process.resourceUsage().maxRSS / 2 ** 20).toFixed(2)} GB`);
  console.log(`  an episode: ${spent.map(({ what, each }) => `${what} ${(1000 * each).toFixed(0)} ms`).join(', ')}; before: ${(['gram', 'elimination', 'targets', 'anchor'] as const).map((what) => `${what} ${(before[what] ?? 0).toFixed(1)} s`).join(', ')}`);
  const shared = judged.map(({ counts }, i) => Math.max(0, ...judged.slice(0, i).map((earlier) => sharedPrefix(setting, earlier.counts, counts))));
  console.log(`  leading layers that an earlier candidate had alike: ${(100 * mean(shared)).toFixed(1)}% of the MACs on average`);
}

/** Share of a network's MACs in the layers before the first that two candidates have with other channels. */
function sharedPrefix({ calibration: { space: { analysis, groups } }, network }: Setting, a: Counts, b: Counts): number {
  const ids = new Set(groups.filter((_, i) => a[i] !== b[i]).map(({ group }) => group.id));
  const changed = new Set(analysis.groups.filter(({ id }) => ids.has(id)).flatMap(({ producers, consumers }) => [...producers, ...consumers].map(({ initializer }) => initializer)));
  const order = new Map(network.proto.graph.node.map((node, i) => [node.output[0], i])), sorted = [...analysis.layers].sort((p, q) => order.get(p.node.output[0])! - order.get(q.node.output[0])!);
  const first = sorted.findIndex(({ weight }) => changed.has(weight));
  return sorted.slice(0, first < 0 ? sorted.length : first).reduce((sum, { macs }) => sum + macs, 0) / analysis.macs;
}

if (wants('episodes')) for (const [name, macs] of [['mobilenetv1', 0.5], ['resnet56', 0.5], ['vgg16', 0.25]].filter(([name]) => option('--only', name as string) === name) as [string, number][]) {
  const { episodes: asked, ...usual } = cifar(name, macs); // as many as a run has by itself, unless told otherwise
  await costOfEpisodes(`${name} ${macs}`, await open(args.includes('--episodes') ? { ...usual, episodes: asked! } : usual));
}

if (wants('target')) {
  const times: number[] = [];
  for (const seed of seeds) {
    const start = performance.now(), setting = await open(cifar('mobilenetv1', 0.5, seed)), search = await searchOf(setting), calibrated = since(start);
    await search.anchor();
    const careful = await setting.calibration.careful(), passed: { seconds: number; accuracy: number }[] = [];
    let best = -1;
    const check = async (counts: Counts, reward: number): Promise<boolean> => {
      if (reward <= best) return false;
      best = reward;
      passed.push({ accuracy: await setting.task.judge.accuracy(await setting.judge.make(counts, careful)), seconds: since(start) });
      return passed.at(-1)!.accuracy > 0.9162;
    };
    for await (const { counts, score } of search.episodesOfAgent()) if (await check(counts, score.reward)) break;
    times.push(passed.at(-1)!.seconds);
    console.log(`mobilenetv1 0.5 seed ${seed}: data and calibration ${calibrated.toFixed(1)} s; ${passed.map(({ seconds, accuracy }) => `${(100 * accuracy).toFixed(2)}% after ${seconds.toFixed(1)} s`).join(', ')}`);
  }
  console.log(`median of ${seeds.length} seeds: ${median(times).toFixed(1)} s`);
}

if (wants('growth')) {
  const mobilenet = await open({ ...cifar('mobilenetv1', 0.5), episodes: Math.min(episodes, 20) });
  for (const images of [250, 500, 1000, 2000]) await costOfEpisodes(`mobilenetv1 0.5, ${images} images`, mobilenet, { images });
  for (const threads of [1, 2]) await costOfEpisodes(`mobilenetv1 0.5, threads ${threads}`, await open({ ...cifar('mobilenetv1', 0.5), threads, episodes: Math.min(episodes, 20) }));
  for (const name of ['resnet20', 'resnet56']) await costOfEpisodes(`${name} 0.5`, await open({ ...cifar(name, 0.5), episodes: Math.min(episodes, 20) }));
  for (const name of ['torchvision__mobilenet_v2', 'torchvision__resnet50']) {
    const folder = join(scratch, name), images = 96, model = await fillZooModel(name, folder), val = writeMadeUpInputs(name, folder, images);
    const start = performance.now(), setting = await open({ model, val, target: { metric: 'macs', value: 0.5 }, episodes: Math.min(episodes, 8) });
    console.log(`${name}: data and calibration with ${images} images ${since(start).toFixed(1)} s`);
    await costOfEpisodes(name, setting);
    rmSync(folder, { recursive: true });
  }
}

if (wants('memory')) {
  setFlagsFromString('--expose-gc');
  const collectGarbage = runInNewContext('gc') as () => void;
  for (const name of ['resnet20', 'mobilenetv1'].filter((each) => option('--only', each) === each)) {
    const search = await searchOf(await open({ ...cifar(name, 0.5), episodes: 500 })), held = new Map<number, number>();
    await search.anchor();
    for await (const { episode } of search.episodesOfAgent()) if (episode === 50 || episode === 500) { collectGarbage(); held.set(episode, process.memoryUsage.rss() / 2 ** 20); }
    console.log(`${name}: ${held.get(50)!.toFixed(0)} MB after 50 episodes, ${held.get(500)!.toFixed(0)} MB after 500: ${(100 * (held.get(500)! / held.get(50)! - 1)).toFixed(1)}% more`);
  }
}

if (wants('quality')) {
  const networks = [['mobilenetv1', 0.5], ['plain20', 0.5], ['resnet56', 0.5], ['vgg16', 0.25]] as const;
  for (const [name, macs] of args.includes('--only') ? networks.filter(([name]) => name === option('--only', '')) : networks.slice(0, 2)) {
    const setting = await open(cifar(name, macs)), { calibration: { space, goal: { limits: [{ budget }] } }, judge, task } = setting, search = await searchOf(setting), { features } = space;
    await search.anchor();
    const careful = await setting.calibration.careful(), guesses = await search.guesses();
    const policies: Record<string, (options: SearchOptions) => AsyncGenerator<Episode>> = {
      agent: (options) => warmSearch(space, features, guesses, options), 'first guesses': (options) => warmSearch(space, features, guesses, { ...options, episodes: guesses.length }), 'agent from uniform': (options) => warmSearch(space, features, [handMade(space, 'uniform', budget)!], options),
      'agent, all images': async function* (options) {
        const closely = await searchOf(setting, { images: task.judge.images.count, racing: false });
        await closely.anchor();
        yield* warmSearch(space, features, guesses, { ...options, evaluate: (counts) => closely.scoreOf(counts) });
      },
      "paper's agent": (options) => paperSearch(space, features, options),
      random: (options) => randomSearch(space, options), evolution: (options) => evolution(space, options), annealing: (options) => annealing(space, options),
    };
    for (const [policy, generate] of Object.entries(policies).filter(([each]) => option('--policy', each).split(';').includes(each))) {
      const rewards: number[] = [], finished: number[] = [];
      for (const seed of seeds) {
        let best: Episode | undefined;
        for await (const episode of generate({ budget, episodes, seed, signal, evaluate: (counts) => search.scoreOf(counts) })) if (episode.best) best = episode;
        rewards.push(best!.score.reward);
        finished.push(await task.judge.accuracy(await judge.make(best!.counts, careful)));
      }
      const spread = (values: readonly number[]): string => `${(100 * mean(values)).toFixed(2)} (${(100 * Math.min(...values)).toFixed(2)} to ${(100 * Math.max(...values)).toFixed(2)})`;
      console.log(`${name} ${macs}, ${episodes} evaluations, ${seeds.length} seeds: ${policy.padEnd(18)} reward ${spread(rewards)}, its best repaired on val5k ${spread(finished)}`);
    }
  }
}
for (const folder of folders) await folder.close();
rmSync(scratch, { recursive: true, force: true });
