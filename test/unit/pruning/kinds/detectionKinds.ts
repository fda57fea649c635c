/** Detectors: heads that split, decode and join, with their suppression at the end. */
import { DataType } from '../../../../src/engine/onnx/tensor.ts';
import type { Network } from '../network.ts';
import type { Kind } from './kind.ts';

const silu = (net: Network, x: string): string => net.op('Mul', [x, net.op('Sigmoid', [x])]);
const conv = (net: Network, x: string, from: number, to: number, k = 1, stride = 1): string =>
  silu(net, net.op('Conv', [x, net.weight([to, from, k, k]), net.weight([to])], { pads: Array.from({ length: 4 }, () => (k - 1) / 2), strides: [stride, stride], kernel_shape: [k, k] }));
const pool = (net: Network, x: string): string => net.op('MaxPool', [x], { kernel_shape: [3, 3], strides: [1, 1], pads: [1, 1, 1, 1] });
const twice = (net: Network, x: string): string => net.op('Resize', [x, '', net.floats([1, 1, 2, 2])], { mode: 'nearest', coordinate_transformation_mode: 'asymmetric', nearest_mode: 'floor' });
const join = (net: Network, parts: readonly string[], axis = 1): string => net.op('Concat', parts, { axis });
const c2f = (net: Network, x: string, from: number, to: number): string => {
  const half = to / 2, [a = '', b = ''] = net.ops('Split', [conv(net, x, from, to), net.ints([half, half])], 2, { axis: 1 });
  return conv(net, join(net, [a, b, net.op('Add', [b, conv(net, conv(net, b, half, half, 3), half, half, 3)])]), 3 * half, to);
};
const sppf = (net: Network, x: string, width: number): string => {
  const parts = [conv(net, x, width, width / 2)];
  for (let i = 0; i < 3; i++) parts.push(pool(net, parts.at(-1)!));
  return conv(net, join(net, parts), 2 * width, width);
};
/** Boxes [batch, 4, anchors] and scores [batch, classes, anchors] of two levels as YOLOv8 writes them. */
function yolov8Head(net: Network, levels: readonly [string, number, number][], bins = 4, classes = 3): string {
  const flat = levels.map(([x, width]) => {
    const boxes = net.conv(conv(net, conv(net, x, width, 8, 3), 8, 8, 3), 8, 4 * bins), scores = net.conv(conv(net, conv(net, x, width, 6, 3), 6, 6, 3), 6, classes);
    return net.op('Reshape', [join(net, [boxes, scores]), net.ints([1, 4 * bins + classes, -1])]);
  });
  const anchors = levels.reduce((sum, [, , size]) => sum + size * size, 0);
  const [box = '', cls = ''] = net.ops('Split', [join(net, flat, 2), net.ints([4 * bins, classes])], 2, { axis: 1 });
  const dfl = net.op('Softmax', [net.op('Transpose', [net.op('Reshape', [box, net.ints([1, 4, bins, anchors])])], { perm: [0, 2, 1, 3] })], { axis: 1 });
  const distance = net.op('Reshape', [net.op('Conv', [dfl, net.floats(Array.from({ length: bins }, (_, i) => i), [1, bins, 1, 1])]), net.ints([1, 4, anchors])]);
  const part = (from: number, to: number): string => net.op('Slice', [distance, net.ints([from]), net.ints([to]), net.ints([1]), net.ints([1])]);
  const points = net.weight([1, 2, anchors]), low = net.op('Sub', [points, part(0, 2)]), high = net.op('Add', [points, part(2, 4)]);
  const centre = net.op('Div', [net.op('Add', [low, high]), net.scalar(2)]), xywh = join(net, [centre, net.op('Sub', [high, low])]);
  return join(net, [net.op('Mul', [xywh, net.weight([1, anchors], { mean: 8 })]), net.op('Sigmoid', [cls])]);
}
const picture = (net: Network): string => net.input('x', [1, 3, 16, 16]);
const dims = { x: [1, 3, 16, 16] };

export const kinds: Readonly<Record<string, Kind>> = {
  'YOLOv8-like: C2f, SPPF, DFL, decoded boxes': { macs: 0.4, frozen: ['it has a single output channel'], build: (net) => {
    const p1 = c2f(net, conv(net, picture(net), 3, 12, 3, 2), 12, 12), p2 = sppf(net, c2f(net, conv(net, p1, 12, 16, 3, 2), 16, 16), 16);
    const up = c2f(net, join(net, [twice(net, p2), p1]), 28, 12), lower = c2f(net, join(net, [conv(net, up, 12, 12, 3, 2), p2]), 28, 16);
    net.output(yolov8Head(net, [[up, 12, 8], [lower, 16, 4]]));
    return dims;
  } },
  'YOLOv5-like: anchors, grids, boxes decoded per level by Split': { macs: 0.4, build: (net) => {
    const p1 = conv(net, conv(net, picture(net), 3, 8, 3, 2), 8, 12, 3), p2 = conv(net, p1, 12, 16, 3, 2);
    const level = (x: string, width: number, size: number): string => {
      const five = net.op('Transpose', [net.op('Reshape', [net.conv(x, width, 14), net.ints([1, 2, 7, size, size])])], { perm: [0, 1, 3, 4, 2] });
      const [xy = '', wh = '', rest = ''] = net.ops('Split', [net.op('Sigmoid', [five]), net.ints([2, 2, 3])], 3, { axis: 4 });
      const at = net.op('Mul', [net.op('Add', [net.op('Mul', [xy, net.scalar(2)]), net.weight([1, 2, size, size, 2])]), net.scalar(8)]);
      const box = net.op('Mul', [net.op('Pow', [net.op('Mul', [wh, net.scalar(2)]), net.scalar(2)]), net.weight([1, 2, size, size, 2])]);
      return net.op('Reshape', [join(net, [at, box, rest], 4), net.ints([1, -1, 7])]);
    };
    net.output(join(net, [level(p1, 12, 8), level(p2, 16, 4)], 1));
    return dims;
  } },
  'YOLOv11-like: attention block over positions (C2PSA)': { macs: 0.55, build: (net) => {
    const x = conv(net, conv(net, picture(net), 3, 8, 3, 2), 8, 16, 3, 2), qkv = net.op('Reshape', [net.conv(x, 16, 32), net.ints([1, 2, 16, 16])]);
    const [q = '', k = '', v = ''] = net.ops('Split', [qkv, net.ints([4, 4, 8])], 3, { axis: 2 });
    const scores = net.op('Softmax', [net.op('Mul', [net.op('MatMul', [net.op('Transpose', [q], { perm: [0, 1, 3, 2] }), k]), net.scalar(0.5)])], { axis: -1 });
    const mixed = net.op('Reshape', [net.op('MatMul', [v, net.op('Transpose', [scores], { perm: [0, 1, 3, 2] })]), net.ints([1, 16, 4, 4])]);
    const position = net.conv(net.op('Reshape', [v, net.ints([1, 16, 4, 4])]), 16, 16, [3, 3], { groups: 16 });
    net.output(net.conv(net.op('Add', [x, net.conv(net.op('Add', [mixed, position]), 16, 16)]), 16, 5));
    return dims;
  } },
  'RetinaNet: one head for all levels, sigmoid scores': { macs: 0.4, build: (net) => {
    const c1 = conv(net, picture(net), 3, 12, 3, 2), c2 = conv(net, c1, 12, 16, 3, 2), p2 = net.conv(c2, 16, 10), p1 = net.op('Add', [net.conv(c1, 12, 10), twice(net, p2)]);
    const shared = [[10, 10], [10, 10], [10, 6]].map(([from, to]) => [net.weight([to!, from!, 3, 3]), net.weight([to!])]);
    const run = (p: string): string => {
      let y = p;
      shared.forEach((parameters, i) => { y = net.op('Conv', [y, ...parameters], { pads: [1, 1, 1, 1] }); if (i < 2) y = net.op('Relu', [y]); });
      return net.op('Reshape', [net.op('Transpose', [net.op('Reshape', [y, net.ints([1, 2, 3, -1])])], { perm: [0, 3, 1, 2] }), net.ints([1, -1, 3])]);
    };
    net.output(net.op('Sigmoid', [join(net, [run(p1), run(p2)], 1)]));
    return dims;
  } },
  'SSD with L2 normalisation of features and constant priors': { macs: 0.47, build: (net) => {
    const a = net.op('Relu', [conv(net, picture(net), 3, 12, 3, 2)]), b = conv(net, a, 12, 16, 3, 2);
    const normed = net.op('Mul', [net.op('Div', [a, net.op('Add', [net.op('Sqrt', [net.op('ReduceSum', [net.op('Pow', [a, net.scalar(2)]), net.ints([1])], { keepdims: 1 })]), net.scalar(1e-4)])]), net.weight([1, 12, 1, 1], { mean: 1 })]);
    const flat = (x: string, width: number, out: number): string => net.op('Flatten', [net.op('Transpose', [net.conv(x, width, out, [3, 3])], { perm: [0, 2, 3, 1] })], { axis: 1 });
    const boxes = net.op('Reshape', [join(net, [flat(normed, 12, 8), flat(b, 16, 8)], 1), net.ints([1, -1, 4])]), scores = net.op('Reshape', [join(net, [flat(normed, 12, 6), flat(b, 16, 6)], 1), net.ints([1, -1, 3])]);
    const priors = net.weight([1, 160, 4]), slice = (x: string, from: number): string => net.op('Slice', [x, net.ints([from]), net.ints([from + 2]), net.ints([2])]);
    const decoded = join(net, [net.op('Add', [slice(priors, 0), net.op('Mul', [net.op('Mul', [slice(boxes, 0), net.scalar(0.1)]), slice(priors, 2)])]), net.op('Mul', [slice(priors, 2), net.op('Exp', [net.op('Mul', [slice(boxes, 2), net.scalar(0.2)])])])], 2);
    net.output(net.op('Softmax', [scores], { axis: 2 }), decoded);
    return dims;
  } },
  'CenterNet: heat map peaks by pooling, TopK and gathered offsets': { macs: 0.4, frozen: ['TopK over the axis'], build: (net) => {
    const x = conv(net, conv(net, picture(net), 3, 12, 3, 2), 12, 16, 3), up = net.op('ConvTranspose', [x, net.weight([16, 10, 4, 4]), net.weight([10])], { strides: [2, 2], pads: [1, 1, 1, 1] });
    const head = (out: number): string => net.conv(conv(net, up, 10, 14, 3), 14, out), heat = net.op('Sigmoid', [head(2)]);
    const peaks = net.op('Mul', [heat, net.op('Cast', [net.op('Equal', [pool(net, heat), heat])], { to: DataType.FLOAT })]);
    const [best = '', where = ''] = net.ops('TopK', [net.op('Reshape', [peaks, net.ints([1, -1])]), net.ints([5])], 2, { axis: 1 });
    const at = net.op('Expand', [net.op('Unsqueeze', [net.op('Mod', [where, net.ints([256], [])]), net.ints([1])]), net.ints([1, 2, 1])]);
    net.output(best, net.op('GatherElements', [net.op('Reshape', [head(2), net.ints([1, 2, -1])]), at], { axis: 2 }));
    return dims;
  } },
  'NonMaxSuppression, and the boxes it selects gathered': { macs: 0.4, build: (net) => {
    const x = conv(net, conv(net, picture(net), 3, 12, 3, 2), 12, 16, 3, 2);
    const boxes = net.op('Sigmoid', [net.op('Transpose', [net.op('Reshape', [net.conv(conv(net, x, 16, 12, 3), 12, 4), net.ints([1, 4, 16])])], { perm: [0, 2, 1] })]);
    const scores = net.op('Sigmoid', [net.op('Reshape', [net.conv(conv(net, x, 16, 12, 3), 12, 2), net.ints([1, 2, 16])])]);
    const selected = net.op('NonMaxSuppression', [boxes, scores, net.ints([3], [1]), net.floats([0.5]), net.floats([0])]);
    net.output(net.op('ReduceMax', [net.op('Gather', [net.op('Squeeze', [boxes, net.ints([0])]), net.op('Gather', [selected, net.ints([2], [])], { axis: 1 })], { axis: 0 })], { axes: [0] }), net.op('ReduceMax', [scores], { axes: [2] }));
    return dims;
  } },
};
