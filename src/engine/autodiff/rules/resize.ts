import { intAttribute, intsAttribute, stringAttribute } from '../../onnx/attributes.ts';
import { alongAxis } from '../alongAxis.ts';
import { type Rule, type RuleContext, type Rules, frontAxis, outputGradient, range, unsupported } from '../rule.ts';

/** Where output position x lies among the inputs (ONNX Resize-13, coordinate_transformation_mode). */
const transformations: Readonly<Record<string, (x: number, scale: number, from: number, to: number) => number>> = {
  half_pixel: (x, scale) => (x + 0.5) / scale - 0.5,
  pytorch_half_pixel: (x, scale, _from, to) => (to > 1 ? (x + 0.5) / scale - 0.5 : 0),
  half_pixel_symmetric: (x, scale, from, to) => from / 2 * (1 - to / (scale * from)) + (x + 0.5) / scale - 0.5,
  asymmetric: (x, scale) => x / scale,
  align_corners: (x, _scale, from, to) => (to > 1 ? x * (from - 1) / (to - 1) : 0),
};
const roundings: Readonly<Record<string, (x: number) => number>> = {
  round_prefer_floor: (x) => Math.ceil(x - 0.5), round_prefer_ceil: (x) => Math.floor(x + 0.5), floor: Math.floor, ceil: Math.ceil,
};

/** The resized axes and their scales: from the scales input, or else from the sizes that came out. */
function scalesOf({ node, shape, contents }: RuleContext): (number | undefined)[] {
  const dims = shape(node.input[0]!), out = shape(node.output[0]!), axes = intsAttribute(node, 'axes')?.map((axis) => frontAxis(axis, dims.length)) ?? range(dims.length);
  const given = node.input[2];
  const scales = given ? contents(given) : [];
  return dims.map((dim, axis) => {
    const at = axes.indexOf(axis), scale = at < 0 ? 1 : scales[at] ?? out[axis]! / dim;
    return scale === 1 && out[axis] === dim ? undefined : scale;
  });
}

/** Resize-13 and later, nearest and linear: linear along each axis, so that the gradient is a matrix product along each. */
const resize: Rule = (context) => {
  const { node, build, shape } = context;
  const mode = stringAttribute(node, 'mode', 'nearest'), transformation = stringAttribute(node, 'coordinate_transformation_mode', 'half_pixel');
  const transform = transformations[transformation], round = roundings[stringAttribute(node, 'nearest_mode', 'round_prefer_floor')];
  if (mode === 'cubic' || intAttribute(node, 'antialias', 0) !== 0 || !transform || !round) throw unsupported(node, `mode ${mode} with ${transformation} has no gradient rule`);
  const dims = shape(node.input[0]!), out = shape(node.output[0]!);
  let gradient = outputGradient(context);
  scalesOf(context).forEach((scale, axis) => {
    if (scale === undefined) return;
    const from = dims[axis]!, to = out[axis]!, matrix = new Float32Array(to * from), clamp = (x: number): number => Math.min(from - 1, Math.max(0, x));
    for (let o = 0; o < to; o++) {
      const x = transform(o, scale, from, to);
      if (mode === 'nearest') { matrix[o * from + clamp(round(x))] = 1; continue; }
      const inside = clamp(x), low = Math.floor(inside), high = Math.min(from - 1, low + 1);
      matrix[o * from + low]! += 1 - (inside - low);
      matrix[o * from + high]! += inside - low;
    }
    gradient = alongAxis(build, gradient, dims.length, axis, to, from, matrix);
  });
  return [gradient];
};

export const resizeRules: Rules = { Resize: resize };
