import { copyFileSync, existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { describe, expect, it } from 'vitest';
import { loadModel } from '../../../src/engine/onnx/modelFile.ts';
import { analyse } from '../../../src/engine/pruning/analysis.ts';
import { costs } from '../../../src/engine/pruning/costs.ts';
import { uniformKept } from '../../../src/engine/pruning/uniform.ts';
import { expectExactPruning, type Model } from './network.ts';

const zoo = resolve('../shared/zoo');

/** A zoo model with its weights, which are filled in a scratch folder. */
async function zooModel(name: string): Promise<{ model: Model; dims: number[] }> {
  const folder = mkdtempSync(join(tmpdir(), 'zoo-'));
  try {
    for (const extension of ['onnx', 'json']) copyFileSync(join(zoo, `${name}.${extension}`), join(folder, `${name}.${extension}`));
    const { fill } = await import(pathToFileURL(join(zoo, 'fill.mjs')).href) as { fill: (folder: string, name: string) => void };
    fill(folder, name);
    return { model: (await loadModel(join(folder, `${name}.onnx`))).proto, dims: (JSON.parse(readFileSync(join(zoo, `${name}.json`), 'utf8')) as { input: number[] }).input };
  } finally { rmSync(folder, { recursive: true, force: true }); }
}

// one of each kind: shuffle and split, squeeze and concat, grouped convolution, cascaded attention, cross-covariance attention, weight standardisation
describe.skipIf(!existsSync(zoo))('graphs of the zoo (../shared/zoo is not part of a clone)', () => {
  it.each([
    ['torchvision__shufflenet_v2_x0_5', 0.4], ['torchvision__squeezenet1_1', 0.4], ['torchvision__regnet_x_400mf', 0.4], ['timm__efficientvit_m0', 0.4],
    ['timm__xcit_nano_12_p8_224', 0.75], ['timm__nf_seresnet26', 0.4],
  ] as const)('%s pruned to random kept sets equals the masked original, and half the channels leave at most %f of its MACs', async (name, most) => {
    const { model, dims } = await zooModel(name);
    const { analysis } = await expectExactPruning(model, { [model.graph.input[0]!.name]: dims }, [1]);
    expect(costs(analysis, uniformKept(analysis, 0.5)).macs / analysis.macs).toBeLessThan(most);
    expect((await analyse(model)).groups.map(({ id }) => id)).toEqual(analysis.groups.map(({ id }) => id)); // stable between runs
  });
});
