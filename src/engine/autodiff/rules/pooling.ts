import { intAttribute, intsAttribute, stringAttribute } from '../../onnx/attributes.ts';
import { windowsOf } from '../../onnx/windows.ts';
import { alongAxis } from '../alongAxis.ts';
import { type Rule, type RuleContext, type Rules, outputGradient, product, range, unsupported } from '../rule.ts';
import { type Local, extreme, mean, reduction } from './reduction.ts';

const poolWindows = ({ node, shape }: RuleContext): ReturnType<typeof windowsOf> =>
  windowsOf(node, intsAttribute(node, 'kernel_shape') ?? [], shape(node.input[0]!).slice(2), shape(node.output[0]!).slice(2));

/** MaxPool-12: the gradient goes to the element that was chosen (onnxruntime's choice among equal ones). */
const maxPool: Rule = (context) => {
  const { node, build, shape } = context;
  if (intAttribute(node, 'storage_order', 0) !== 0) throw unsupported(node, 'its storage_order is 1');
  const dims = shape(node.input[0]!), g = outputGradient(context);
  const attributes = Object.fromEntries(node.attribute.map((a) => [a.name, a.name === 'auto_pad' ? new TextDecoder().decode(a.s) : a.ints.length > 0 ? a.ints.map(Number) : Number(a.i)]));
  const [, indices] = build.ops('MaxPool', [node.input[0]!], 2, attributes) as [string, string];
  const count = product(shape(node.output[0]!));
  const scattered = build.op('ScatterElements', [build.zeros([product(dims)]), build.reshape(indices, [count]), build.reshape(g, [count])], { axis: 0, reduction: 'add' });
  return [build.reshape(scattered, dims)];
};

/** AveragePool-11 and 19: the mean over a window is a mean along one axis after the other, so the gradient is a matrix product along each. */
const averagePool: Rule = (context) => {
  const { node, build, shape } = context;
  const dims = shape(node.input[0]!), out = shape(node.output[0]!), windows = poolWindows(context), includePad = intAttribute(node, 'count_include_pad', 0) === 1;
  const declared = stringAttribute(node, 'auto_pad', 'NOTSET').startsWith('SAME') ? windows.after : intsAttribute(node, 'pads')?.slice(windows.kernel.length) ?? windows.kernel.map(() => 0);
  let gradient = outputGradient(context);
  for (const axis of range(windows.kernel.length)) {
    const length = dims[axis + 2]!, count = out[axis + 2]!, matrix = new Float32Array(count * length);
    for (let o = 0; o < count; o++) {
      const start = o * windows.strides[axis]! - windows.before[axis]!;
      const window = range(windows.kernel[axis]!).map((k) => start + k * windows.dilations[axis]!);
      const inside = window.filter((p) => p >= 0 && p < length);
      // declared padding counts, what ceil_mode adds beyond it does not
      const end = length + Math.max(0, declared[axis]!);
      const divisor = includePad ? window.filter((p) => p < end).length : inside.length;
      for (const p of inside) matrix[o * length + p] = 1 / divisor;
    }
    gradient = alongAxis(build, gradient, dims.length, axis + 2, count, length, matrix);
  }
  return [gradient];
};

/** GlobalAveragePool-1 and GlobalMaxPool-1 reduce all axes behind the channels, which stay as ones. */
const globally = (local: Local): Rule => reduction(local, ({ node, shape }) => range(shape(node.input[0]!).length).slice(2));

export const poolingRules: Rules = { MaxPool: maxPool, AveragePool: averagePool, GlobalAveragePool: globally(mean), GlobalMaxPool: globally(extreme) };
