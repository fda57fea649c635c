import { describe, expect, it } from 'vitest';
import { Random } from '../../../src/engine/numerics/random.ts';
import { GraphView } from '../../../src/engine/onnx/graphView.ts';
import { loadModel } from '../../../src/engine/onnx/modelFile.ts';
import { dimsOf, floatsOf, withFloats } from '../../../src/engine/onnx/tensor.ts';
import { type Tensor, Session, floats } from '../../../src/engine/runtime/session.ts';
import { StagedNetwork } from '../../../src/engine/runtime/stagedNetwork.ts';

const { proto } = await loadModel('examples/resnet20.onnx'), view = new GraphView(proto.graph), input = view.inputs[0]!, [output] = view.outputs;
const convolutions = view.nodes.filter(({ opType }) => opType === 'Conv'), random = new Random(4);
const chunks = Array.from({ length: 3 }, (): Tensor => floats(Float32Array.from({ length: 4 * 3072 }, () => random.normal()), [4, 3, 32, 32]));

/** Halves a weight in the middle of the network before the node that reads it has run. */
function halve(network: StagedNetwork, name: string): void {
  const weight = network.initializers.get(name)!;
  network.initializers.set(name, withFloats(weight, dimsOf(weight), floatsOf(weight).map((value) => value / 2)));
}

describe('a network that is run piece by piece', () => {
  it('gives what the whole network gives', async () => {
    const network = new StagedNetwork(proto, view, { [input]: chunks }), session = await Session.create(proto);
    await network.advance([convolutions[5]!.output[0]!]);
    const [staged] = await network.advance([output!]), whole = (await session.run({ [input]: chunks[1]! }))[output!]!;
    await session.release();
    staged![1]!.data.forEach((value, i) => { expect(value).toBeCloseTo(Number(whole.data[i]), 3); });
  });

  it('takes in more images on the way, which pass through the weights as they were', async () => {
    const changed = convolutions[8]!.input[1]!, at = [convolutions[3]!, convolutions[7]!, convolutions[11]!].map(({ input: [value] }) => value!);
    const growing = new StagedNetwork(proto, view, { [input]: chunks }, {}, 1), all = new StagedNetwork(proto, view, { [input]: chunks });
    for (const network of [growing, all]) {
      await network.advance([at[0]!]);
      if (network === growing) await network.admit(2);
      await network.advance([at[1]!]);
      halve(network, changed);
      const [middle] = await network.advance([at[2]!]);
      expect(middle).toHaveLength(network === growing ? 2 : 3);
      if (network === growing) await network.admit(3);
    }
    const [[grown], [whole]] = [await growing.advance([output!]), await all.advance([output!])];
    grown!.forEach(({ data }, chunk) => { data.forEach((value, i) => { expect(value).toBeCloseTo(Number(whole![chunk]!.data[i]), 4); }); }); // onnxruntime fuses what it runs at once
  });
});
