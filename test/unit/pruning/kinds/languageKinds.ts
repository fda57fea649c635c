/** Transformers: decoders with and without a cache, encoders, towers, mixtures of experts; as exporters write them and as onnxruntime fuses them. */
import { DataType } from '../../../../src/engine/onnx/tensor.ts';
import type { Network } from '../network.ts';
import type { Kind } from './kind.ts';

const bare = (net: Network, x: string, from: number, to: number): string => net.op('MatMul', [x, net.weight([from, to])]);
const silu = (net: Network, x: string): string => net.op('Mul', [x, net.op('Sigmoid', [x])]);
const gelu = (net: Network, x: string): string => net.op('Mul', [net.op('Mul', [x, net.op('Add', [net.op('Erf', [net.op('Div', [x, net.scalar(Math.SQRT2)])]), net.scalar(1)])]), net.scalar(0.5)]);
/** RMS normalisation as torch.onnx writes it. */
const rms = (net: Network, x: string, width: number): string => net.op('Mul', [net.weight([width], { mean: 1 }), net.op('Mul', [x,
  net.op('Reciprocal', [net.op('Sqrt', [net.op('Add', [net.op('ReduceMean', [net.op('Pow', [x, net.scalar(2)])], { axes: [-1], keepdims: 1 }), net.scalar(1e-5)])])])])]);
const heads = (net: Network, x: string, count: number, depth: number): string => net.op('Transpose', [net.op('Reshape', [x, net.ints([0, -1, count, depth])])], { perm: [0, 2, 1, 3] });
const join = (net: Network, x: string, width: number): string => net.op('Reshape', [net.op('Transpose', [x], { perm: [0, 2, 1, 3] }), net.ints([0, -1, width])]);
const transposed = (net: Network, x: string): string => net.op('Transpose', [x], { perm: [0, 1, 3, 2] });
const dim = (net: Network, x: string, i: number): string => net.op('Unsqueeze', [net.op('Gather', [net.op('Shape', [x]), net.ints([i], [])], { axis: 0 }), net.ints([0])]);
/** Scaled dot-product attention over [batch, heads, time, depth]. */
const attend = (net: Network, q: string, k: string, v: string, depth: number, bias?: string): string => {
  const scores = net.op('Div', [net.op('MatMul', [q, transposed(net, k)]), net.scalar(Math.sqrt(depth))]);
  return net.op('MatMul', [net.op('Softmax', [bias === undefined ? scores : net.op('Add', [scores, bias])], { axis: -1 }), v]);
};
/** Rotates halves: x * cos + concat(-x2, x1) * sin, tables sliced to the length. */
const rope = (net: Network, x: string, depth: number, cos: string, sin: string): string => {
  const part = (from: number, to: number): string => net.op('Slice', [x, net.ints([from]), net.ints([to]), net.ints([3]), net.ints([1])]);
  const turned = net.op('Concat', [net.op('Neg', [part(depth / 2, 2147483647)]), part(0, depth / 2)], { axis: -1 });
  return net.op('Add', [net.op('Mul', [x, cos]), net.op('Mul', [turned, sin])]);
};
const causal = (net: Network, x: string): string => { // 0 below the diagonal, a large negative number above, [time, time]
  const length = dim(net, x, 1), square = net.op('Concat', [length, length], { axis: 0 });
  return net.op('Mul', [net.op('Trilu', [net.op('ConstantOfShape', [square]), net.ints([1], [])], { upper: 1 }), net.scalar(-1e4)]);
};
const repeatHeads = (net: Network, x: string, count: number, times: number, depth: number): string => {
  const wide = net.op('Expand', [net.op('Unsqueeze', [x, net.ints([2])]), net.op('Concat', [dim(net, x, 0), net.ints([count, times]), dim(net, x, 2), net.ints([depth])], { axis: 0 })]);
  return net.op('Reshape', [wide, net.op('Concat', [dim(net, x, 0), net.ints([count * times]), dim(net, x, 2), net.ints([depth])], { axis: 0 })]);
};
const ids = (net: Network): string => net.input('ids', ['batch_size', 'sequence_length'], DataType.INT64);
const tokens = { ids: [2, 6] };

/** Llama-like layers: RMS norm, rotary tables, grouped queries, SwiGLU. @param norm how a normalisation is written */
function llama(net: Network, norm: (x: string, width: number) => string, x: string, rotate = true): string {
  const width = 16, depth = 4, table = (): string => net.op('Slice', [net.weight([1, 1, 16, depth]), net.ints([0]), dim(net, x, 1), net.ints([2]), net.ints([1])]), cos = table(), sin = table();
  const turn = (y: string): string => (rotate ? rope(net, y, depth, cos, sin) : y);
  const a = norm(x, width), q = turn(heads(net, bare(net, a, width, 16), 4, depth)), k = turn(heads(net, bare(net, a, width, 8), 2, depth)), v = heads(net, bare(net, a, width, 8), 2, depth);
  const mixed = attend(net, q, repeatHeads(net, k, 2, 2, depth), repeatHeads(net, v, 2, 2, depth), depth);
  const y = net.op('Add', [x, bare(net, join(net, mixed, 16), 16, width)]), b = norm(y, width);
  return net.op('Add', [y, bare(net, net.op('Mul', [silu(net, bare(net, b, width, 24)), bare(net, b, width, 24)]), 24, width)]);
}

export const kinds: Readonly<Record<string, Kind>> = {
  'Llama-like decoder, RMS norm as exported': { macs: 0.4, build: (net) => {
    const norm = (x: string, width: number): string => rms(net, x, width);
    let x = net.op('Gather', [net.weight([20, 16]), ids(net)]);
    for (let i = 0; i < 2; i++) x = llama(net, norm, x);
    net.output(bare(net, norm(x, 16), 16, 20));
    return tokens;
  } },
  'Llama-like decoder with RMSNormalization (opset 23)': { macs: 0.4, opset: 23, build: (net) => {
    const norm = (x: string, width: number): string => net.op('RMSNormalization', [x, net.weight([width], { mean: 1 })], { axis: -1, epsilon: { float: 1e-5 } });
    net.output(bare(net, norm(llama(net, norm, net.op('Gather', [net.weight([20, 16]), ids(net)])), 16), 16, 20));
    return tokens;
  } },
  'Llama-like decoder with SimplifiedLayerNormalization': { macs: 0.4, build: (net) => {
    const norm = (x: string, width: number): string => net.op('SimplifiedLayerNormalization', [x, net.weight([width], { mean: 1 })], { axis: -1, epsilon: { float: 1e-5 } });
    net.output(bare(net, norm(llama(net, norm, net.op('Gather', [net.weight([20, 16]), ids(net)])), 16), 16, 20));
    return tokens;
  } },
  'tied embeddings: the table transposed makes the logits': { macs: 0.6, build: (net) => {
    const table = net.weight([20, 16]), norm = (x: string, width: number): string => rms(net, x, width);
    const x = llama(net, norm, net.op('Gather', [table, ids(net)]));
    net.output(net.op('MatMul', [norm(x, 16), net.op('Transpose', [table], { perm: [1, 0] })]));
    return tokens;
  } },
  'decoder with past keys and values as inputs and outputs': { macs: 0.9, frozen: ['LayerNormalization over the axis', 'input of the graph'], build: (net) => {
    const x = net.op('Gather', [net.weight([20, 12]), ids(net)]), a = net.layerNorm(x, 12), past = (name: string): string => net.input(name, ['batch_size', 3, 'past_sequence_length', 4]);
    const mask = net.input('attention_mask', ['batch_size', 'past_sequence_length + sequence_length'], DataType.INT64);
    const bias = net.op('Mul', [net.op('Sub', [net.scalar(1), net.op('Cast', [net.op('Unsqueeze', [mask, net.ints([1, 2])])], { to: DataType.FLOAT })]), net.scalar(-1e4)]);
    const q = heads(net, net.linear(a, 12, 12), 3, 4), k = net.op('Concat', [past('past_key'), heads(net, net.linear(a, 12, 12), 3, 4)], { axis: 2 }), v = net.op('Concat', [past('past_value'), heads(net, net.linear(a, 12, 12), 3, 4)], { axis: 2 });
    const y = net.op('Add', [x, net.linear(join(net, attend(net, q, k, v, 4, bias), 12), 12, 12)]);
    net.output(bare(net, net.layerNorm(net.op('Add', [y, net.linear(gelu(net, net.linear(net.layerNorm(y, 12), 12, 24)), 24, 12)]), 12), 12, 20), k, v);
    return { ids: [2, 1], attention_mask: [2, 5], past_key: [2, 3, 4, 4], past_value: [2, 3, 4, 4] };
  } },
  'interleaved rotary embedding': { macs: 0.5, build: (net) => {
    const x = net.input('x', ['batch', 6, 10]), cos = net.weight([1, 6, 1, 6]), sin = net.weight([1, 6, 1, 6]);
    const turn = (y: string): string => {
      const pairs = net.op('Reshape', [y, net.ints([0, 6, 3, 6, 2])]), part = (i: number): string => net.op('Gather', [pairs, net.ints([i], [])], { axis: 4 });
      const [a, b] = [part(0), part(1)], up = (z: string): string => net.op('Unsqueeze', [z, net.ints([-1])]);
      const real = net.op('Sub', [net.op('Mul', [a, cos]), net.op('Mul', [b, sin])]), imaginary = net.op('Add', [net.op('Mul', [a, sin]), net.op('Mul', [b, cos])]);
      return net.op('Transpose', [net.op('Reshape', [net.op('Concat', [up(real), up(imaginary)], { axis: -1 }), net.ints([0, 6, 3, 12])])], { perm: [0, 2, 1, 3] });
    };
    net.output(net.linear(join(net, attend(net, turn(net.linear(x, 10, 36)), turn(net.linear(x, 10, 36)), heads(net, net.linear(x, 10, 12), 3, 4), 12), 12), 12, 5));
    return { x: [2, 6, 10] };
  } },
  'Attention and RotaryEmbedding (opset 23)': { macs: 0.75, opset: 23, build: (net) => {
    const x = net.input('x', ['batch', 6, 16]), angles = [net.weight([32, 6]), net.weight([32, 6]), net.op('Expand', [net.ints([0, 1, 2, 3, 4, 5], [1, 6]), net.op('Concat', [dim(net, x, 0), net.ints([1])], { axis: 0 })])];
    const turn = (y: string, count: number): string => net.op('RotaryEmbedding', [y, ...angles], { num_heads: count });
    const y = net.op('Attention', [turn(bare(net, x, 16, 48), 4), turn(bare(net, x, 16, 24), 2), bare(net, x, 16, 8)], { q_num_heads: 4, kv_num_heads: 2, is_causal: 1 });
    net.output(bare(net, silu(net, bare(net, bare(net, y, 16, 12), 12, 20)), 20, 5));
    return { x: [2, 6, 16] };
  } },
  'Attention (opset 23) on heads split before': { macs: 0.75, opset: 23, build: (net) => {
    const x = net.input('x', ['batch', 6, 12]);
    const y = net.op('Attention', [heads(net, bare(net, x, 12, 12), 3, 4), heads(net, bare(net, x, 12, 12), 3, 4), heads(net, bare(net, x, 12, 12), 3, 4)]);
    net.output(bare(net, join(net, y, 12), 12, 5));
    return { x: [2, 6, 12] };
  } },
  'BERT-like encoder, mask expanded, pooler': { macs: 0.75, frozen: ['LayerNormalization over the axis'], build: (net) => {
    const words = ids(net), mask = net.input('mask', ['batch_size', 'sequence_length'], DataType.INT64);
    let x = net.layerNorm(net.op('Add', [net.op('Gather', [net.weight([20, 12]), words]), net.op('Slice', [net.weight([1, 8, 12]), net.ints([0]), dim(net, words, 1), net.ints([1])])]), 12);
    const bias = net.op('Where', [net.op('Equal', [net.op('Unsqueeze', [mask, net.ints([1, 2])]), net.ints([0], [])]), net.scalar(-3e38), net.scalar(0)]);
    for (let i = 0; i < 2; i++) {
      const split = (): string => heads(net, net.linear(x, 12, 12), 3, 4);
      x = net.layerNorm(net.op('Add', [x, net.linear(join(net, attend(net, split(), split(), split(), 4, bias), 12), 12, 12)]), 12);
      x = net.layerNorm(net.op('Add', [x, net.linear(gelu(net, net.linear(x, 12, 24)), 24, 12)]), 12);
    }
    net.output(net.op('Gemm', [net.op('Tanh', [net.op('Gemm', [net.op('Gather', [x, net.ints([0], [])], { axis: 1 }), net.weight([10, 12]), net.weight([10])], { transB: 1 })]), net.weight([3, 10]), net.weight([3])], { transB: 1 }));
    return { ids: [2, 6], mask: [2, 6] };
  } },
  'encoder and decoder with cross-attention': { macs: 0.75, frozen: ['LayerNormalization over the axis'], build: (net) => {
    const source = net.input('source', ['batch', 'source_length', 8]), target = net.input('target', ['batch', 'target_length'], DataType.INT64);
    const memory = net.layerNorm(net.op('Add', [net.linear(source, 8, 12), net.weight([1, 1, 12])]), 12), x = net.op('Gather', [net.weight([20, 12]), target]);
    const block = (q: string, kv: string, bias?: string): string => net.linear(join(net, attend(net, heads(net, net.linear(q, 12, 12), 3, 4), heads(net, net.linear(kv, 12, 12), 3, 4), heads(net, net.linear(kv, 12, 12), 3, 4), 4, bias), 12), 12, 12);
    const y = net.layerNorm(net.op('Add', [x, block(x, x, causal(net, x))]), 12), z = net.layerNorm(net.op('Add', [y, block(y, memory)]), 12);
    net.output(net.linear(net.op('Relu', [net.linear(z, 12, 20)]), 20, 20));
    return { source: [2, 7, 8], target: [2, 5] };
  } },
  'CLIP: two towers, normalised embeddings, logit scale': { macs: 0.6, frozen: ['LayerNormalization over the axis'], build: (net) => {
    const image = net.input('pixels', ['images', 3, 8, 8]), text = net.input('text', ['texts', 'length'], DataType.INT64);
    const patches = net.op('Transpose', [net.op('Reshape', [net.op('Conv', [image, net.weight([12, 3, 4, 4])], { strides: [4, 4] }), net.ints([0, 12, -1])])], { perm: [0, 2, 1] });
    const token = net.op('Expand', [net.weight([1, 1, 12]), net.op('Concat', [dim(net, patches, 0), net.ints([1, 12])], { axis: 0 })]);
    const seen = net.layerNorm(net.op('Add', [net.op('Concat', [token, patches], { axis: 1 }), net.weight([1, 5, 12])]), 12);
    const quick = (x: string): string => net.op('Mul', [x, net.op('Sigmoid', [net.op('Mul', [x, net.scalar(1.702)])])]);
    const mlp = (x: string): string => net.op('Add', [x, net.linear(quick(net.linear(net.layerNorm(x, 12), 12, 24)), 24, 12)]);
    const unit = (x: string): string => net.op('Div', [x, net.op('ReduceL2', [x], { axes: [-1], keepdims: 1 })]);
    const a = unit(bare(net, net.op('Gather', [mlp(seen), net.ints([0], [])], { axis: 1 }), 12, 10));
    const words = mlp(net.op('Gather', [net.weight([20, 12]), text])), rows = net.op('Flatten', [net.op('ArgMax', [text], { axis: -1, keepdims: 1 })], { axis: 0 });
    void rows;
    const b = unit(bare(net, net.op('ReduceMean', [net.layerNorm(words, 12)], { axes: [1], keepdims: 0 }), 12, 10));
    net.output(net.op('Mul', [net.op('Exp', [net.scalar(0.5)]), net.op('MatMul', [a, net.op('Transpose', [b], { perm: [1, 0] })])]));
    return { pixels: [2, 3, 8, 8], text: [3, 5] };
  } },
  'ALiBi slopes and a relative position table': { macs: 0.75, build: (net) => {
    const x = net.input('x', ['batch', 6, 12]), slopes = net.op('Mul', [net.floats([0.5, 0.25, 0.125], [1, 3, 1, 1]), net.weight([1, 1, 6, 6])]);
    const buckets = Array.from({ length: 36 }, (_, i) => (i % 6) - Math.floor(i / 6) + 5), relative = net.op('Unsqueeze', [net.op('Transpose', [net.op('Gather', [net.weight([11, 3]), net.ints(buckets, [6, 6])])], { perm: [2, 0, 1] }), net.ints([0])]);
    const split = (): string => heads(net, net.linear(x, 12, 12), 3, 4);
    net.output(net.linear(join(net, attend(net, split(), split(), split(), 4, net.op('Add', [slopes, relative])), 12), 12, 5));
    return { x: [2, 6, 12] };
  } },
  'mixture of experts: TopK router, weights scattered, experts summed': { macs: 0.6, frozen: ['Softmax over the axis'], build: (net) => {
    const x = net.input('x', ['tokens', 12]), y = net.op('Relu', [net.linear(x, 12, 16)]), [best = '', which = ''] = net.ops('TopK', [net.op('Softmax', [bare(net, y, 16, 4)], { axis: -1 }), net.ints([2])], 2, { axis: -1 });
    const gates = net.op('ScatterElements', [net.op('ConstantOfShape', [net.op('Concat', [dim(net, x, 0), net.ints([4])], { axis: 0 })]), which, best], { axis: 1 });
    const outs = net.ops('Split', [gates, net.ints([1, 1, 1, 1])], 4, { axis: 1 }).map((gate) => net.op('Mul', [net.linear(silu(net, net.linear(y, 16, 20)), 20, 16), gate]));
    net.output(net.linear(net.op('Sum', outs), 16, 5));
    return { x: [5, 12] };
  } },
  'mixture of experts: rows gathered and written back by ScatterND': { macs: 0.8, build: (net) => {
    const x = net.input('x', [6, 12]), y = net.op('Relu', [net.linear(x, 12, 16)]), rows = net.op('Transpose', [net.op('NonZero', [net.op('Greater', [net.op('ReduceMax', [x], { axes: [1], keepdims: 0 }), net.scalar(-10)])])], { perm: [1, 0] });
    const expert = net.linear(silu(net, net.linear(net.op('GatherND', [y, rows]), 16, 20)), 20, 16);
    net.output(net.linear(net.op('ScatterND', [net.op('Mul', [y, net.scalar(0)]), rows, expert]), 16, 5));
    return { x: [6, 12] };
  } },
  'fused by onnxruntime: SkipLayerNormalization, BiasGelu, FusedMatMul': { macs: 0.6, frozen: ['input of the graph'], build: (net) => {
    const x = net.layerNorm(net.input('x', ['batch', 6, 12]), 12), h = net.microsoft('BiasGelu', [bare(net, x, 12, 24), net.weight([24])])[0]!;
    const [y = ''] = net.microsoft('SkipLayerNormalization', [bare(net, h, 24, 12), x, net.weight([12], { mean: 1 }), net.weight([12]), net.weight([12])], { epsilon: { float: 1e-5 } });
    const q = heads(net, net.linear(y, 12, 12), 3, 4), k = heads(net, net.linear(y, 12, 12), 3, 4), v = heads(net, net.linear(y, 12, 12), 3, 4);
    const scores = net.microsoft('FusedMatMul', [q, k], { transB: 1, alpha: { float: 0.5 } })[0]!;
    const mixed = net.linear(join(net, net.op('MatMul', [net.op('Softmax', [scores], { axis: -1 }), v]), 12), 12, 12);
    net.output(net.linear(net.microsoft('QuickGelu', [net.linear(mixed, 12, 16)], { alpha: { float: 1.702 } })[0]!, 16, 5));
    return { x: [2, 6, 12] };
  } },
  'fused by onnxruntime: Attention with packed weights': { macs: 0.75, build: (net) => {
    const x = net.input('x', ['batch', 6, 12]);
    const y = net.microsoft('Attention', [x, net.weight([12, 36]), net.weight([36])], { num_heads: 3 })[0]!;
    net.output(net.linear(net.op('Relu', [net.linear(y, 12, 20)]), 20, 5));
    return { x: [2, 6, 12] };
  } },
  'fused by onnxruntime: MultiHeadAttention': { macs: 0.75, build: (net) => {
    const x = net.input('x', ['batch', 6, 12]);
    const y = net.microsoft('MultiHeadAttention', [bare(net, x, 12, 12), bare(net, x, 12, 12), bare(net, x, 12, 12), net.weight([36])], { num_heads: 3 })[0]!;
    net.output(net.linear(net.op('Relu', [net.linear(y, 12, 20)]), 20, 5));
    return { x: [2, 6, 12] };
  } },
  'Perceiver: learned queries attend to an input array': { macs: 0.75, frozen: ['LayerNormalization over the axis'], build: (net) => {
    const x = net.input('x', ['batch', 9, 8]), latents = net.op('Expand', [net.weight([1, 4, 12]), net.op('Concat', [dim(net, x, 0), net.ints([1, 1])], { axis: 0 })]);
    const z = net.op('Add', [latents, net.linear(join(net, attend(net, heads(net, net.linear(net.layerNorm(latents, 12), 12, 12), 3, 4), heads(net, net.linear(x, 8, 12), 3, 4), heads(net, net.linear(x, 8, 12), 3, 4), 4), 12), 12, 12)]);
    net.output(net.linear(net.op('ReduceMean', [net.linear(gelu(net, net.linear(net.layerNorm(z, 12), 12, 24)), 24, 12)], { axes: [1], keepdims: 0 }), 12, 5));
    return { x: [2, 9, 8] };
  } },
  'MLP-Mixer: Transpose between the mixings': { macs: 0.75, frozen: ['LayerNormalization over the axis', 'spatial axis of Conv'], build: (net) => {
    const image = net.input('x', ['batch', 3, 8, 8]);
    let x = net.op('Transpose', [net.op('Reshape', [net.op('Conv', [image, net.weight([12, 3, 2, 2]), net.weight([12])], { strides: [2, 2] }), net.ints([0, 12, 16])])], { perm: [0, 2, 1] });
    for (let i = 0; i < 2; i++) {
      const turned = net.op('Transpose', [net.layerNorm(x, 12)], { perm: [0, 2, 1] });
      x = net.op('Add', [x, net.op('Transpose', [net.linear(gelu(net, net.linear(turned, 16, 24)), 24, 16)], { perm: [0, 2, 1] })]);
      x = net.op('Add', [x, net.linear(gelu(net, net.linear(net.layerNorm(x, 12), 12, 20)), 20, 12)]);
    }
    net.output(net.linear(net.op('ReduceMean', [net.layerNorm(x, 12)], { axes: [1], keepdims: 0 }), 12, 4));
    return { x: [2, 3, 8, 8] };
  } },
};
