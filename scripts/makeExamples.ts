/**
 * Makes examples/ from the project's shared models and data: node scripts/run.mjs scripts/makeExamples.ts ../shared
 * A trained ResNet-20 and a few CIFAR-10 images of every class, lossless, as a user would have them: a folder of class folders.
 */
import { copyFile, mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import sharp from 'sharp';
import { openDataset } from '../src/engine/data/openDataset.ts';

const shared = process.argv[2] ?? '../shared';
const classNames = ['airplane', 'automobile', 'bird', 'cat', 'deer', 'dog', 'frog', 'horse', 'ship', 'truck'];
const parts = [{ name: 'validation', source: 'val5k.npz', imagesAClass: 100 }, { name: 'calibration', source: 'train10k.npz', imagesAClass: 60 }];

await rm('examples/cifar10', { recursive: true, force: true });
for (const { name, source, imagesAClass } of parts) {
  const dataset = await openDataset(join(shared, 'data/cifar10', source));
  if (dataset.kind !== 'images' || !dataset.labels) throw new Error(`${source} holds no labelled images.`);
  for (const [label, className] of classNames.entries()) {
    const folder = join('examples/cifar10', name, className);
    await mkdir(folder, { recursive: true });
    const indices = [...dataset.labels.keys()].filter((i) => dataset.labels![i] === label).slice(0, imagesAClass);
    for (const [i, { data, height, width }] of (await dataset.read(indices)).entries()) {
      const pixels = Uint8Array.from({ length: data.length }, (_, at) => data[(at % 3) * height * width + Math.floor(at / 3)]!);
      await sharp(pixels, { raw: { width, height, channels: 3 } }).webp({ lossless: true, effort: 6 }).toFile(join(folder, `${String(indices[i]).padStart(5, '0')}.webp`));
    }
  }
  await dataset.close();
}
await copyFile(join(shared, 'models/cifar10/resnet20.onnx'), 'examples/resnet20.onnx');
