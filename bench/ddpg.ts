// Time of one DDPG update (critic, actor, Adam, target networks) at the paper's sizes: node scripts/run.mjs bench/ddpg.ts
import { DdpgAgent } from '../src/engine/rl/ddpg.ts';

const observationSize = 11, stepsPerEpisode = 30, episodes = 20;
const agent = await DdpgAgent.create({ observationSize, seed: 1, options: { explorationEpisodes: 3 } });
const episode = (): { observation: Float32Array; action: number }[] =>
  Array.from({ length: stepsPerEpisode }, (_, t) => ({ observation: Float32Array.from({ length: observationSize }, (_unused, i) => ((t * 7 + i * 3) % 11) / 11), action: (t % 10) / 10 }));
const updateMs: number[] = [];
for (let i = 0; i < episodes; i++) {
  const start = performance.now();
  if (await agent.endEpisode(episode(), Math.random())) updateMs.push((performance.now() - start) / stepsPerEpisode);
}
const actStart = performance.now();
for (let i = 0; i < 500; i++) await agent.act(new Float32Array(observationSize), { explore: true });
const sorted = updateMs.toSorted((a, b) => a - b);
console.log(`update ms: median ${sorted[sorted.length >> 1]!.toFixed(2)}, best ${sorted[0]!.toFixed(2)}, worst ${sorted.at(-1)!.toFixed(2)} (goal 5); action ms: ${((performance.now() - actStart) / 500).toFixed(3)}`);
await agent.release();
