/** Networks from images to images: segmentation, super-resolution, generators, style transfer, volumes; and convolutional classifiers of rarer build. */
import { DataType } from '../../../../src/engine/onnx/tensor.ts';
import type { Network } from '../network.ts';
import type { Kind } from './kind.ts';

const relu = (net: Network, x: string): string => net.op('Relu', [x]);
const conv3 = (net: Network, x: string, from: number, to: number): string => relu(net, net.conv(x, from, to, [3, 3]));
const down = (net: Network, x: string): string => net.op('MaxPool', [x], { kernel_shape: [2, 2], strides: [2, 2] });
const batchNorm = (net: Network, x: string, channels: number): string =>
  net.op('BatchNormalization', [x, net.weight([channels], { mean: 1 }), net.weight([channels]), net.weight([channels]), net.weight([channels], { mean: 1, scale: 0.4 })]);
const instanceNorm = (net: Network, x: string, channels: number): string => net.op('InstanceNormalization', [x, net.weight([channels], { mean: 1 }), net.weight([channels])]);
/** x2 by a ConvTranspose of kernel 2 or 4. */
const up = (net: Network, x: string, from: number, to: number, kernel = 2, groups = 1): string =>
  net.op('ConvTranspose', [x, net.weight([from, to / groups, kernel, kernel]), net.weight([to])], { strides: [2, 2], pads: Array.from({ length: 4 }, () => (kernel - 2) / 2), group: groups });
/** Element i of the shape of x, as torch.onnx writes it: rank 1. */
const size = (net: Network, x: string, i: number): string => net.op('Unsqueeze', [net.op('Gather', [net.op('Shape', [x]), net.ints([i], [])], { axis: 0 }), net.ints([0])]);
/** Resize of x to the height and width of y (opset 11 and newer: sizes input, batch and channels sliced from the shape of x). */
const resizeLike = (net: Network, x: string, y: string): string => net.op('Resize', [x, '', '', net.op('Concat', [
  net.op('Slice', [net.op('Shape', [x]), net.ints([0]), net.ints([2]), net.ints([0])]), size(net, y, 2), size(net, y, 3)], { axis: 0 })], { mode: 'linear', coordinate_transformation_mode: 'half_pixel' });
const gap = (net: Network, x: string): string => net.op('GlobalAveragePool', [x]);
const flatten = (net: Network, x: string): string => net.op('Flatten', [x], { axis: 1 });
const classify = (net: Network, x: string, from: number): void => { net.output(net.op('Gemm', [flatten(net, gap(net, x)), net.weight([5, from]), net.weight([5])], { transB: 1 })); };
const image = (net: Network, channels = 3): string => net.input('x', ['batch', channels, 'height', 'width']);
const x16 = { x: [2, 3, 16, 16] }, x8 = { x: [2, 3, 8, 8] };

export const kinds: Readonly<Record<string, Kind>> = {
  'U-Net with ConvTranspose and skips': { macs: 0.36, build: (net) => {
    const x = image(net), a = conv3(net, conv3(net, x, 3, 8), 8, 8), b = conv3(net, conv3(net, down(net, a), 8, 16), 16, 16), c = conv3(net, down(net, b), 16, 32);
    const d = conv3(net, net.op('Concat', [up(net, c, 32, 16), b], { axis: 1 }), 32, 16);
    net.output(net.conv(conv3(net, net.op('Concat', [up(net, d, 16, 8), a], { axis: 1 }), 16, 8), 8, 2));
    return x16;
  } },
  'U-Net whose decoder pads to the size of the skip': { macs: 0.36, build: (net) => {
    const x = image(net), a = conv3(net, x, 3, 8), b = conv3(net, down(net, a), 8, 16), u = up(net, b, 16, 8);
    const difference = (i: number): string => net.op('Sub', [size(net, a, i), size(net, u, i)]), half = (d: string): string => net.op('Div', [d, net.ints([2])]);
    const h = difference(2), w = difference(3), pads = net.op('Concat', [net.ints([0, 0]), half(h), half(w), net.ints([0, 0]), net.op('Sub', [h, half(h)]), net.op('Sub', [w, half(w)])], { axis: 0 });
    net.output(net.conv(conv3(net, net.op('Concat', [a, net.op('Pad', [u, pads, net.scalar(0)], { mode: 'constant' })], { axis: 1 }), 16, 8), 8, 2));
    return { x: [2, 3, 17, 16] };
  } },
  'FPN with lateral sums, sizes computed from Shape, shared head': { macs: 0.36, build: (net) => {
    const x = image(net), c1 = conv3(net, x, 3, 8), c2 = conv3(net, down(net, c1), 8, 16), c3 = conv3(net, down(net, c2), 16, 24);
    const p3 = net.conv(c3, 24, 12), p2 = net.op('Add', [net.conv(c2, 16, 12), resizeLike(net, p3, c2)]), p1 = net.op('Add', [net.conv(c1, 8, 12), resizeLike(net, p2, c1)]);
    const tower = [net.weight([12, 12, 3, 3]), net.weight([12])], head = [net.weight([6, 12, 3, 3]), net.weight([6])], pads = { pads: [1, 1, 1, 1] };
    const flat = [p1, p2, p3].map((p) => {
      const y = net.op('Conv', [relu(net, net.op('Conv', [p, ...tower], pads)), ...head], pads);
      return net.op('Reshape', [net.op('Transpose', [net.op('Reshape', [y, net.op('Concat', [size(net, y, 0), net.ints([3, 2]), size(net, y, 2), size(net, y, 3)], { axis: 0 })])], { perm: [0, 3, 4, 1, 2] }), net.ints([0, -1, 2])]);
    });
    net.output(net.op('Concat', flat, { axis: 1 }));
    return x16;
  } },
  'DeepLab: atrous pyramid, image pooling, upsampled decoder': { macs: 0.36, build: (net) => {
    const x = image(net), low = conv3(net, x, 3, 8), high = conv3(net, down(net, low), 8, 16);
    const branches = [1, 2, 3].map((rate) => relu(net, batchNorm(net, net.op('Conv', [high, net.weight([10, 16, 3, 3])], { dilations: [rate, rate], pads: [rate, rate, rate, rate] }), 10)));
    const pooled = resizeLike(net, relu(net, net.conv(net.op('ReduceMean', [high], { axes: [-1, -2], keepdims: 1 }), 16, 10)), high);
    const joined = relu(net, net.conv(net.op('Concat', [...branches, pooled], { axis: 1 }), 40, 12));
    const decoded = net.op('Concat', [resizeLike(net, joined, low), relu(net, net.conv(low, 8, 6))], { axis: 1 });
    net.output(resizeLike(net, net.conv(conv3(net, decoded, 18, 12), 12, 4), x));
    return x16;
  } },
  'PSPNet: pyramid pooling and Resize by scales': { macs: 0.36, build: (net) => {
    const x = net.input('x', [1, 3, 12, 12]), y = conv3(net, conv3(net, x, 3, 12), 12, 16);
    const levels = [1, 2, 3].map((bins) => net.op('Resize', [relu(net, net.conv(net.op('AveragePool', [y], { kernel_shape: [12 / bins, 12 / bins], strides: [12 / bins, 12 / bins] }), 16, 4)), '', net.floats([1, 1, 12 / bins, 12 / bins].map((v, i) => (i < 2 ? 1 : v)))], { mode: 'nearest' }));
    void levels;
    net.output(net.conv(conv3(net, net.op('Concat', [y, ...levels], { axis: 1 }), 28, 12), 12, 3));
    return { x: [1, 3, 12, 12] };
  } },
  'SegNet: max pooling indices and MaxUnpool': { macs: 0.45, build: (net) => {
    const x = net.input('x', [1, 3, 8, 8]), y = conv3(net, conv3(net, x, 3, 8), 8, 8);
    const [pooled = '', where = ''] = net.ops('MaxPool', [y], 2, { kernel_shape: [2, 2], strides: [2, 2] });
    const z = net.op('MaxUnpool', [conv3(net, conv3(net, pooled, 8, 12), 12, 8), where], { kernel_shape: [2, 2], strides: [2, 2] });
    net.output(net.conv(conv3(net, z, 8, 8), 8, 2));
    return { x: [1, 3, 8, 8] };
  } },
  'ESPCN: sub-pixel convolution to the image': { macs: 0.36, frozen: ['block of DepthToSpace'], build: (net) => {
    const x = image(net, 1), y = conv3(net, conv3(net, x, 1, 16), 16, 12);
    net.output(net.op('DepthToSpace', [net.conv(y, 12, 4, [3, 3])], { blocksize: 2, mode: 'CRD' }));
    return { x: [2, 1, 8, 8] };
  } },
  'EDSR: residual scaling, two pixel shuffles, mean shift': { macs: 0.36, build: (net) => {
    const x = net.op('Sub', [image(net), net.floats([0.4, 0.4, 0.4], [1, 3, 1, 1])]), head = net.conv(x, 3, 12, [3, 3]);
    let y = head;
    for (let i = 0; i < 2; i++) y = net.op('Add', [y, net.op('Mul', [net.conv(conv3(net, y, 12, 12), 12, 12, [3, 3]), net.scalar(0.1)])]);
    y = net.op('Add', [head, net.conv(y, 12, 12, [3, 3])]);
    for (const mode of ['CRD', 'DCR']) y = net.op('DepthToSpace', [net.conv(y, 12, 48, [3, 3])], { blocksize: 2, mode });
    net.output(net.op('Add', [net.conv(y, 12, 3, [3, 3]), net.floats([0.4, 0.4, 0.4], [1, 3, 1, 1])]));
    return x8;
  } },
  'pixel shuffle as the old exporter writes it: Reshape, Transpose, Reshape with computed sizes': { macs: 0.36, build: (net) => {
    const x = image(net), y = net.conv(conv3(net, x, 3, 12), 12, 32, [3, 3]);
    const six = net.op('Reshape', [y, net.op('Concat', [size(net, y, 0), net.ints([8, 2, 2]), size(net, y, 2), size(net, y, 3)], { axis: 0 })]);
    const times2 = (i: number): string => net.op('Mul', [size(net, y, i), net.ints([2])]);
    const z = net.op('Reshape', [net.op('Transpose', [six], { perm: [0, 1, 4, 2, 5, 3] }), net.op('Concat', [size(net, y, 0), net.ints([8]), times2(2), times2(3)], { axis: 0 })]);
    net.output(net.conv(relu(net, z), 8, 3, [3, 3]));
    return x8;
  } },
  'RDN: dense blocks, local and global fusion': { macs: 0.36, build: (net) => {
    const x = image(net), shallow = net.conv(x, 3, 10, [3, 3]), outs: string[] = [];
    let y = shallow;
    for (let block = 0; block < 2; block++) {
      let dense = y, width = 10;
      for (let i = 0; i < 2; i++) { dense = net.op('Concat', [dense, conv3(net, dense, width, 6)], { axis: 1 }); width += 6; }
      y = net.op('Add', [y, net.conv(dense, width, 10)]);
      outs.push(y);
    }
    const fused = net.op('Add', [shallow, net.conv(net.conv(net.op('Concat', outs, { axis: 1 }), 20, 10), 10, 10, [3, 3])]);
    net.output(net.conv(net.op('DepthToSpace', [net.conv(fused, 10, 40, [3, 3])], { blocksize: 2, mode: 'CRD' }), 10, 3, [3, 3]));
    return x8;
  } },
  'autoencoder with a Gemm bottleneck and an unflatten': { macs: 0.36, frozen: ['it has a single output channel'], build: (net) => {
    const x = net.input('x', ['batch', 1, 8, 8]), y = down(net, conv3(net, x, 1, 8)), z = down(net, conv3(net, y, 8, 16));
    const code = net.op('Gemm', [flatten(net, z), net.weight([10, 64]), net.weight([10])], { transB: 1 });
    const back = net.op('Reshape', [relu(net, net.op('Gemm', [code, net.weight([64, 10]), net.weight([64])], { transB: 1 })), net.ints([-1, 16, 2, 2])]);
    net.output(net.op('Sigmoid', [up(net, relu(net, up(net, back, 16, 8, 4)), 8, 1, 4)]));
    return { x: [2, 1, 8, 8] };
  } },
  'VAE: mean and log variance, noise from the shape': { macs: 0.45, build: (net) => {
    const x = net.input('x', ['batch', 12]), h = relu(net, net.linear(x, 12, 16)), mean = net.linear(h, 16, 6), log = net.linear(h, 16, 6);
    const noise = net.op('Mul', [net.op('RandomNormalLike', [log]), net.scalar(0)]), z = net.op('Add', [mean, net.op('Mul', [noise, net.op('Exp', [net.op('Mul', [log, net.scalar(0.5)])])])]);
    net.output(net.linear(relu(net, net.linear(z, 6, 16)), 16, 12));
    return { x: [2, 12] };
  } },
  'DCGAN generator': { macs: 0.37, build: (net) => {
    const z = net.input('z', ['batch', 10, 1, 1]);
    let y = net.op('ConvTranspose', [z, net.weight([10, 16, 4, 4])], { strides: [1, 1] });
    y = relu(net, batchNorm(net, y, 16));
    y = relu(net, batchNorm(net, net.op('ConvTranspose', [y, net.weight([16, 8, 4, 4])], { strides: [2, 2], pads: [1, 1, 1, 1] }), 8));
    net.output(net.op('Tanh', [net.op('ConvTranspose', [y, net.weight([8, 3, 4, 4])], { strides: [2, 2], pads: [1, 1, 1, 1] })]));
    return { z: [2, 10, 1, 1] };
  } },
  'CycleGAN generator: reflection padding, instance norm, output_padding': { macs: 0.36, build: (net) => {
    const pad = (x: string, p: number): string => net.op('Pad', [x, net.ints([0, 0, p, p, 0, 0, p, p])], { mode: 'reflect' });
    const bare = (x: string, from: number, to: number, stride = 1): string => net.op('Conv', [x, net.weight([to, from, 3, 3]), net.weight([to])], { strides: [stride, stride] });
    let y = relu(net, instanceNorm(net, bare(pad(image(net), 1), 3, 8), 8));
    y = relu(net, instanceNorm(net, bare(pad(y, 1), 8, 16, 2), 16));
    for (let i = 0; i < 2; i++) y = net.op('Add', [y, instanceNorm(net, bare(pad(relu(net, instanceNorm(net, bare(pad(y, 1), 16, 16), 16)), 1), 16, 16), 16)]);
    y = net.op('ConvTranspose', [y, net.weight([16, 8, 3, 3]), net.weight([8])], { strides: [2, 2], pads: [1, 1, 1, 1], output_padding: [1, 1] });
    net.output(net.op('Tanh', [bare(pad(relu(net, instanceNorm(net, y, 8)), 1), 8, 3)]));
    return x8;
  } },
  'AdaIN style transfer: statistics of one image scale the other': { macs: 0.38, build: (net) => {
    const content = net.input('content', [1, 3, 8, 8]), style = net.input('style', [1, 3, 8, 8]);
    const w = [net.weight([12, 3, 3, 3]), net.weight([12])], encode = (x: string): string => relu(net, net.op('Conv', [x, ...w], { pads: [1, 1, 1, 1] }));
    const statistics = (x: string): [string, string] => {
      const mean = net.op('ReduceMean', [x], { axes: [2, 3], keepdims: 1 }), centred = net.op('Sub', [x, mean]);
      return [mean, net.op('Sqrt', [net.op('Add', [net.op('ReduceMean', [net.op('Mul', [centred, centred])], { axes: [2, 3], keepdims: 1 }), net.scalar(1e-5)])])];
    };
    const c = encode(content), s = encode(style), [cm, cs] = statistics(c), [sm, ss] = statistics(s);
    const mixed = net.op('Add', [net.op('Mul', [net.op('Div', [net.op('Sub', [c, net.op('Expand', [cm, net.op('Shape', [c])])]), net.op('Expand', [cs, net.op('Shape', [c])])]), ss]), sm]);
    net.output(net.conv(conv3(net, mixed, 12, 8), 8, 3, [3, 3]));
    return { content: [1, 3, 8, 8], style: [1, 3, 8, 8] };
  } },
  'StyleGAN2-like: modulated convolution with demodulated weights': { macs: 0.8, frozen: [], build: (net) => {
    const z = net.input('z', [1, 6]), style = net.op('Reshape', [net.linear(relu(net, net.linear(z, 6, 12)), 12, 8), net.ints([1, 1, 8, 1, 1])]);
    const modulated = net.op('Mul', [net.weight([1, 10, 8, 3, 3]), style]);
    const scale = net.op('Reciprocal', [net.op('Sqrt', [net.op('Add', [net.op('ReduceSum', [net.op('Pow', [modulated, net.scalar(2)]), net.ints([2, 3, 4])], { keepdims: 0 }), net.scalar(1e-8)])])]);
    const weight = net.op('Reshape', [net.op('Mul', [modulated, net.op('Reshape', [scale, net.ints([1, 10, 1, 1, 1])])]), net.ints([10, 8, 3, 3])]);
    const y = net.op('LeakyRelu', [net.op('Add', [net.op('Conv', [net.weight([1, 8, 6, 6]), weight], { pads: [1, 1, 1, 1] }), net.weight([1, 10, 1, 1])])]);
    net.output(net.conv(y, 10, 3));
    return { z: [1, 6] };
  } },
  '3-D U-Net': { macs: 0.36, build: (net) => {
    const x = net.input('x', ['batch', 1, 8, 8, 8]), k = [3, 3, 3], a = relu(net, net.conv(x, 1, 8, k));
    const b = relu(net, instanceNorm(net, net.conv(net.op('MaxPool', [a], { kernel_shape: [2, 2, 2], strides: [2, 2, 2] }), 8, 12, k), 12));
    const u = net.op('ConvTranspose', [b, net.weight([12, 8, 2, 2, 2]), net.weight([8])], { strides: [2, 2, 2] });
    net.output(net.conv(relu(net, net.conv(net.op('Concat', [u, a], { axis: 1 }), 16, 8, k)), 8, 2, [1, 1, 1]));
    return { x: [1, 1, 8, 8, 8] };
  } },
  'factored (2+1)-D convolutions': { macs: 0.36, build: (net) => {
    const x = net.input('x', ['batch', 3, 4, 8, 8]), conv = (y: string, from: number, to: number, k: number[]): string => relu(net, batchNorm(net, net.conv(y, from, to, k, { bias: false }), to));
    let y = conv(conv(x, 3, 10, [1, 3, 3]), 10, 12, [3, 1, 1]);
    y = relu(net, net.op('Add', [y, conv(conv(y, 12, 18, [1, 3, 3]), 18, 12, [3, 1, 1])]));
    net.output(net.op('Gemm', [flatten(net, gap(net, y)), net.weight([12, 5])]));
    return { x: [1, 3, 4, 8, 8] };
  } },
  'AlexNet-like with LRN and grouped convolutions': { macs: 0.7, frozen: ['LRN over neighbouring channels'], build: (net) => {
    const x = net.input('x', ['batch', 3, 8, 8]), y = net.op('LRN', [conv3(net, x, 3, 8)], { size: 5 });
    const z = relu(net, net.conv(down(net, y), 8, 16, [3, 3], { groups: 2 })), w = relu(net, net.conv(z, 16, 16, [3, 3], { groups: 2 }));
    const fc = relu(net, net.op('Gemm', [net.op('Dropout', [flatten(net, down(net, w))]), net.weight([20, 64]), net.weight([20])], { transB: 1 }));
    net.output(net.op('Gemm', [net.op('Identity', [fc]), net.weight([5, 20]), net.weight([5])], { transB: 1 }));
    return { x: [2, 3, 8, 8] };
  } },
  'ResNeXt block with 4 groups of 4': { macs: 0.43, build: (net) => {
    const x = image(net), y = conv3(net, x, 3, 12);
    const z = net.conv(relu(net, net.conv(relu(net, net.conv(y, 12, 16)), 16, 16, [3, 3], { groups: 4 })), 16, 12);
    classify(net, relu(net, net.op('Add', [y, z])), 12);
    return x8;
  } },
  'GhostNet: cheap features by depthwise convolution, concatenated and sliced': { macs: 0.5, build: (net) => {
    const x = image(net), stem = conv3(net, x, 3, 12), ghost = (y: string, from: number, to: number, keep = to): string => {
      const primary = relu(net, net.conv(y, from, to / 2)), cheap = relu(net, net.conv(primary, to / 2, to / 2, [3, 3], { groups: to / 2 }));
      const both = net.op('Concat', [primary, cheap], { axis: 1 });
      return keep === to ? both : net.op('Slice', [both, net.ints([0]), net.ints([keep]), net.ints([1])]);
    };
    classify(net, net.op('Add', [stem, ghost(ghost(stem, 12, 16), 16, 14, 12)]), 12);
    return x8;
  } },
  'CSP: uneven Split, partial convolution (FasterNet)': { macs: 0.5, build: (net) => {
    const x = image(net), stem = conv3(net, x, 3, 16), [a = '', b = ''] = net.ops('Split', [stem, net.ints([4, 12])], 2, { axis: 1 });
    const mixed = net.op('Concat', [net.conv(a, 4, 4, [3, 3], { bias: false }), b], { axis: 1 });
    classify(net, net.op('Add', [stem, net.conv(relu(net, net.conv(mixed, 16, 24)), 24, 16)]), 16);
    return x8;
  } },
  'Res2Net: splits that feed one another': { macs: 0.45, build: (net) => {
    const x = image(net), stem = conv3(net, x, 3, 16), parts = net.ops('Split', [relu(net, net.conv(stem, 16, 16)), net.ints([4, 4, 4, 4])], 4, { axis: 1 });
    const outs = [conv3(net, parts[0]!, 4, 4)];
    for (const part of parts.slice(1, 3)) outs.push(conv3(net, net.op('Add', [outs.at(-1)!, part]), 4, 4));
    classify(net, net.op('Add', [stem, net.conv(net.op('Concat', [...outs, parts[3]!], { axis: 1 }), 16, 16)]), 16);
    return x8;
  } },
  'ShuffleNet units in NHWC': { macs: 0.65, frozen: ['its channels all depend on one another'], build: (net) => {
    const x = net.input('x', ['batch', 8, 8, 3]), conv = (y: string, from: number, to: number, groups = 1, k = 1): string =>
      net.op('Transpose', [relu(net, net.conv(net.op('Transpose', [y], { perm: [0, 3, 1, 2] }), from, to, [k, k], { groups })), ], { perm: [0, 2, 3, 1] });
    const y = conv(x, 3, 12, 1, 3);
    const five = net.op('Reshape', [conv(y, 12, 12, 3), net.ints([-1, 8, 8, 3, 4])]);
    const shuffled = net.op('Reshape', [net.op('Transpose', [five], { perm: [0, 1, 2, 4, 3] }), net.ints([-1, 8, 8, 12])]);
    const z = net.op('Add', [y, conv(conv(shuffled, 12, 12, 12, 3), 12, 12, 3)]);
    net.output(net.linear(net.op('ReduceMean', [z], { axes: [1, 2], keepdims: 0 }), 12, 4));
    return { x: [2, 8, 8, 3] };
  } },
  'dynamic convolution: attention over constant kernels': { macs: 0.9, build: (net) => {
    const x = net.input('x', [1, 3, 8, 8]), y = conv3(net, x, 3, 8);
    const mix = net.op('Softmax', [net.linear(relu(net, net.linear(flatten(net, gap(net, y)), 8, 6)), 6, 4)], { axis: 1 });
    const kernel = net.op('Reshape', [net.op('MatMul', [mix, net.weight([4, 10 * 8 * 9])]), net.ints([10, 8, 3, 3])]);
    classify(net, relu(net, net.op('Conv', [y, kernel], { pads: [1, 1, 1, 1] })), 10);
    return { x: [1, 3, 8, 8] };
  }, frozen: ['Softmax over the axis'] },
  'weight normalisation in the graph': { macs: 0.4, build: (net) => {
    const x = net.input('x', ['batch', 3, 16]);
    const normed = (from: number, to: number): string => {
      const v = net.weight([to, from, 3]), norm = net.op('ReduceL2', [v], { axes: [1, 2], keepdims: 1 });
      return net.op('Mul', [v, net.op('Div', [net.weight([to, 1, 1], { mean: 1 }), norm])]);
    };
    const conv = (y: string, from: number, to: number): string => relu(net, net.op('Conv', [y, normed(from, to), net.weight([to])], { pads: [1, 1] }));
    net.output(net.conv(conv(conv(x, 3, 10), 10, 12), 12, 2, [1]));
    return { x: [2, 3, 16] };
  } },
  'Mish, HardSwish by its parts, SiLU, Erf GELU': { macs: 0.36, build: (net) => {
    let y = net.conv(image(net), 3, 8, [3, 3]);
    const acts: ((v: string) => string)[] = [
      (v) => net.op('Mul', [v, net.op('Tanh', [net.op('Softplus', [v])])]), (v) => net.op('Mul', [v, net.op('Sigmoid', [v])]),
      (v) => net.op('Mul', [v, net.op('Div', [net.op('Clip', [net.op('Add', [v, net.scalar(3)]), net.scalar(0), net.scalar(6)]), net.scalar(6)])]),
      (v) => net.op('Mul', [net.op('Mul', [v, net.op('Add', [net.op('Erf', [net.op('Div', [v, net.scalar(Math.SQRT2)])]), net.scalar(1)])]), net.scalar(0.5)]),
    ];
    for (const act of acts) y = net.conv(act(y), 8, 8, [3, 3]);
    classify(net, y, 8);
    return x8;
  } },
  'float16 body between Casts': { macs: 0.36, build: (net) => {
    const x = image(net), half = (name: string): string => net.op('Cast', [name], { to: DataType.FLOAT16 });
    const conv = (y: string, from: number, to: number): string => net.op('Relu', [net.op('Conv', [y, half(net.weight([to, from, 3, 3])), half(net.weight([to]))], { pads: [1, 1, 1, 1] })]);
    classify(net, net.op('Cast', [conv(conv(half(x), 3, 8), 8, 10)], { to: DataType.FLOAT }), 10);
    return x8;
  } },
  'neural style filters: Gram matrix': { macs: 0.9, build: (net) => {
    const x = net.input('x', [1, 3, 8, 8]), y = conv3(net, conv3(net, x, 3, 8), 8, 10), flat = net.op('Reshape', [y, net.ints([1, 10, 64])]);
    const gram = net.op('MatMul', [flat, net.op('Transpose', [flat], { perm: [0, 2, 1] })]);
    net.output(net.linear(net.op('Reshape', [gram, net.ints([1, 100])]), 100, 4));
    return { x: [1, 3, 8, 8] };
  }, frozen: ['both factors of a split axis depend on the same channels'] },
  'squeeze-and-excitation by Gemm, and CBAM spatial attention': { macs: 0.4, build: (net) => {
    const y = conv3(net, image(net), 3, 12), squeezed = flatten(net, gap(net, y));
    const gate = net.op('HardSigmoid', [net.op('Gemm', [relu(net, net.op('Gemm', [squeezed, net.weight([4, 12]), net.weight([4])], { transB: 1 })), net.weight([12, 4]), net.weight([12])], { transB: 1 })]);
    const z = net.op('Mul', [y, net.op('Unsqueeze', [gate, net.ints([2, 3])])]);
    const spatial = net.op('Concat', [net.op('ReduceMean', [z], { axes: [1], keepdims: 1 }), net.op('ReduceMax', [z], { axes: [1], keepdims: 1 })], { axis: 1 });
    classify(net, conv3(net, net.op('Mul', [z, net.op('Sigmoid', [net.conv(spatial, 2, 1, [3, 3])])]), 12, 16), 16);
    return x8;
  }, frozen: ['it has a single output channel'] },
};
