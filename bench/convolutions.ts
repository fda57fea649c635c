// Milliseconds of a convolution, its input gradient and its weight gradient inside a training step, written with ONNX's own operators and in onnxruntime's blocked layout: 32 images, one thread.
// node scripts/run.mjs bench/convolutions.ts
import type { GraphProto, ModelProto } from 'onnx-buf';
import { channelBlock } from '../src/engine/autodiff/channelBlock.ts';
import { depthwiseAsProducts, inFastestForm } from '../src/engine/autodiff/convolve.ts';
import { differentiate, gradientName } from '../src/engine/autodiff/differentiate.ts';
import { median } from '../src/engine/evaluation/latency.ts';
import { Random } from '../src/engine/numerics/random.ts';
import { GraphBuilder } from '../src/engine/onnx/graphBuilder.ts';
import { Session, floats } from '../src/engine/runtime/session.ts';

interface Layer { readonly channels: number; readonly out: number; readonly size: number; readonly kernel: number; readonly stride?: number; readonly groups?: number }
const layers: readonly Layer[] = [
  { channels: 3, out: 16, size: 32, kernel: 3 }, { channels: 16, out: 16, size: 32, kernel: 3 }, { channels: 8, out: 16, size: 32, kernel: 3 }, { channels: 32, out: 32, size: 16, kernel: 3 }, { channels: 24, out: 24, size: 16, kernel: 3 },
  { channels: 64, out: 64, size: 8, kernel: 3 }, { channels: 256, out: 256, size: 4, kernel: 3 }, { channels: 512, out: 512, size: 2, kernel: 3 }, { channels: 16, out: 32, size: 32, kernel: 3, stride: 2 },
  { channels: 128, out: 256, size: 8, kernel: 1 }, { channels: 1024, out: 1024, size: 2, kernel: 1 },
  { channels: 32, out: 32, size: 32, kernel: 3, groups: 32 }, { channels: 64, out: 64, size: 32, kernel: 3, stride: 2, groups: 64 }, { channels: 256, out: 256, size: 8, kernel: 3, groups: 256 }, { channels: 512, out: 512, size: 4, kernel: 3, stride: 2, groups: 512 },
];
/** What of a graph one output needs: onnxruntime runs nodes that nothing uses as well. */
function only<M extends ModelProto & { graph: GraphProto }>(model: M, wanted: string): M {
  const needed = new Set([wanted]), node = [...model.graph.node].reverse().filter(({ input, output }) => { const used = output.some((name) => needed.has(name)); if (used) for (const name of input) needed.add(name); return used; }).reverse();
  return { ...model, graph: { ...model.graph, node, input: model.graph.input.filter(({ name }) => needed.has(name)), output: model.graph.output.filter(({ name }) => name === wanted) } };
}

const batch = 32, random = new Random(0), block = await channelBlock();
console.log(`blocks of ${block} channels; ONNX's operators / in blocks`);

for (const { channels, out, size, kernel, stride = 1, groups = 1 } of layers) {
  const pad = Math.floor(kernel / 2), length = Math.floor((size - 1) / stride) + 1;
  const dims: Record<string, number[]> = { x: [batch, channels, size, size], w: [out, channels / groups, kernel, kernel], g: [batch, out, length, length] };
  const feeds = Object.fromEntries(Object.entries(dims).map(([name, shape]) => [name, floats(Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, () => random.normal()), shape)]));
  const shapeOf = (value: string): readonly number[] | undefined => (value === 'y' ? dims['g'] : dims[value]);

  /** Median time of the forward pass, or of the gradient by one input. */
  const time = async (of: 'y' | 'x' | 'w', blocks: number): Promise<number> => {
    const build = new GraphBuilder(), names = Object.entries(dims).map(([name, value]) => build.input(name, value));
    build.op('Conv', names.slice(0, 2), { kernel_shape: [kernel, kernel], pads: [pad, pad, pad, pad], strides: [stride, stride], group: groups });
    build.nodes.at(-1)!.output[0] = 'y';
    depthwiseAsProducts(build, shapeOf, blocks);
    if (of === 'y') { inFastestForm(build, shapeOf, blocks); build.output('y', 'forward', dims['g']!); }
    else build.output(build.op('ReduceSum', [build.mul('y', 'g')], { keepdims: 0 }), 'loss', []);
    const model = of === 'y' ? build.model() : await differentiate(build.model(), { loss: 'loss', wrt: [of], inputShapes: dims, block: blocks });
    const wanted = of === 'y' ? 'forward' : gradientName(of), alone = only(model, wanted);
    const session = await Session.create(alone, { threads: 1 }), times: number[] = [];
    for (let i = 0; i < 13; i++) { const start = performance.now(); await session.run(Object.fromEntries(session.inputNames.map((name) => [name, feeds[name]!]))); if (i > 1) times.push(performance.now() - start); }
    await session.release();
    return median(times);
  };
  const cells: string[] = [];
  for (const of of ['y', 'x', 'w'] as const) cells.push(`${(await time(of, 0)).toFixed(2)} / ${(await time(of, block)).toFixed(2)}`);
  console.log(`| ${groups > 1 ? 'depthwise ' : ''}${kernel}x${kernel}${stride > 1 ? `, stride ${stride}` : ''}, ${channels} -> ${out}, ${size}x${size} | ${cells.join(' | ')} |`);
}
