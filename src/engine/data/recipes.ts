import type { RawImage } from './dataset.ts';
import { checkPreprocessing, inputSizeOf, layoutOf, type Preprocessing } from './preprocessing.ts';

interface Normalisation { readonly name: string; /** Of values in [0, 1]. */ readonly mean: readonly number[]; readonly std: readonly number[] }

/** What models in use were trained with, in order of preference where two serve equally well. Colour statistics are in RGB order, of values in [0, 1]. */
const imageNet: Normalisation = { name: 'ImageNet mean and std', mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225] };
const cifar: readonly Normalisation[] = [
  { name: 'CIFAR-10 mean and std', mean: [0.4914, 0.4822, 0.4465], std: [0.247, 0.2435, 0.2616] },
  { name: 'CIFAR-100 mean and std', mean: [0.5071, 0.4865, 0.4409], std: [0.2673, 0.2564, 0.2762] },
];
const colour = (pixels: number): readonly Normalisation[] => [
  { name: '0 to 1', mean: [0], std: [1] },
  ...(pixels <= 64 * 64 ? [...cifar, imageNet] : [imageNet, ...cifar]), // their values are close: the size tells which is meant where both serve
  { name: '-1 to 1', mean: [0.5], std: [0.5] },
  { name: '0 to 255', mean: [0], std: [1 / 255] },
  { name: 'ImageNet mean subtracted (Caffe)', mean: [123.675 / 255, 116.28 / 255, 103.53 / 255], std: [1 / 255] },
];
const gray: readonly Normalisation[] = [
  { name: '0 to 1', mean: [0], std: [1] },
  { name: 'MNIST mean and std', mean: [0.1307], std: [0.3081] },
  { name: '-1 to 1', mean: [0.5], std: [0.5] },
  { name: 'Fashion-MNIST mean and std', mean: [0.286], std: [0.353] },
  { name: '0 to 255', mean: [0], std: [1 / 255] },
];

/**
 * How stored values relate to [0, 1]: bytes and numbers above 1 by 1/255, floats within [0, 1] as they are; values with negatives have been
 * normalised already. Numbers above 255 are wider than any usual recipe expects: of 10, 12 or 16 bits, or of another scale altogether.
 */
export function valueRangeOf(images: readonly RawImage[]): 'bytes' | 'unit' | 'normalised' | 'wide' {
  if (images.every(({ data }) => data instanceof Uint8Array)) return 'bytes';
  let least = Infinity, most = -Infinity;
  for (const { data } of images) for (const value of data) { least = Math.min(least, value); most = Math.max(most, value); }
  return least < -1e-3 ? 'normalised' : most <= 1 + 1e-3 ? 'unit' : most <= 255 * (1 + 1e-3) ? 'bytes' : 'wide';
}

/** The recipes worth trying for these images and this input, the likelier first; none for values above 255. @param resized whether there are images of another size than the input's; otherwise the way of resizing is not varied */
export function candidateRecipes(images: readonly RawImage[], inputShape: readonly number[], resized: boolean): Preprocessing[] {
  const layout = layoutOf(inputShape);
  const { channels, height, width } = inputSizeOf(inputShape, layout);
  const range = valueRangeOf(images);
  if (range === 'wide') return [];
  const identity: Normalisation = { name: 'as stored', mean: [0], std: [1] };
  const normalisations = range === 'normalised' ? [identity] : channels === 1 ? gray : channels === 3 ? colour(height * width) : [identity, ...colour(height * width).filter(({ mean, std }) => mean.length === 1 && std.length === 1)];
  const orders = channels === 3 && range !== 'normalised' && images.some((image) => image.channels > 1) ? ['rgb', 'bgr'] as const : channels === 1 ? ['gray'] as const : ['rgb'] as const;
  const geometries = resized ? ['shorter-side', 'stretch'] as const : ['stretch'] as const;
  return geometries.flatMap((resize) => orders.flatMap((channelOrder) => normalisations.map(({ name, mean, std }) => {
    const ordered = (values: readonly number[]): number[] => (channelOrder === 'bgr' ? [...values].reverse() : [...values]);
    const scale = range === 'bytes' && name !== identity.name ? 1 / 255 : 1;
    return checkPreprocessing({ name, resize, channelOrder, scale, mean: ordered(mean), std: ordered(std), layout });
  })));
}

/** One line for people: "ImageNet mean and std, BGR, shorter side resized and centre cropped". */
export function describePreprocessing({ name, channelOrder, resize, cropRatio, mean, std, scale }: Preprocessing, resized: boolean): string {
  const values = name ?? `scale ${Number(scale.toPrecision(4))}, mean ${mean.join(' ')}, std ${std.join(' ')}`;
  const geometry = !resized ? '' : resize === 'stretch' ? ', resized' : `, shorter side resized to input / ${cropRatio} and centre cropped`;
  return `${values}, ${channelOrder === 'gray' ? 'gray' : channelOrder.toUpperCase()}${geometry}`;
}
