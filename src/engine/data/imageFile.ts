import { extname } from 'node:path';
import { InputError, messageOf } from '../errors.ts';
import type { ImageSize, RawImage } from './dataset.ts';

/** Extensions taken for images in a folder. */
const extensions = new Set(['.png', '.jpg', '.jpeg', '.webp', '.gif', '.tif', '.tiff', '.avif', '.bmp']);
export const isImageName = (name: string): boolean => !name.startsWith('.') && extensions.has(extname(name).toLowerCase());

/** Images that declare more pixels are refused before anything is decoded. */
const maxPixels = 100_000_000;
/** The longest side of a JPEG. A longer one, after large images were reduced, is that of a strip a few pixels wide: a small file that takes minutes to resize. */
const maxSide = 65_535;

/**
 * Decodes one image file to 8-bit RGB, turned upright by its EXIF orientation, transparency dropped.
 * @param covering images that are larger than twice this size are reduced to that: photographs decode many times faster
 * @throws {InputError} names the file
 */
export async function readImageFile(path: string, covering?: ImageSize): Promise<RawImage> {
  const { default: sharp } = await import('sharp'); // loads libvips: only where image files are read
  const reduced = covering && { width: 2 * covering.width, height: 2 * covering.height, fit: 'outside', withoutEnlargement: true, kernel: 'linear' } as const;
  try {
    const { data, info } = await sharp(path, { limitInputPixels: maxPixels, failOn: 'error', sequentialRead: true }).rotate().resize(reduced ?? {}).toColourspace('srgb').removeAlpha().raw({ depth: 'uchar' }).toBuffer({ resolveWithObject: true });
    const { channels, height, width } = info;
    if (Math.max(height, width) > maxSide) throw new Error(`it has ${width} x ${height} pixels, a side longer than ${maxSide}`);
    return { data: new Uint8Array(data.buffer, data.byteOffset, data.length), channels, height, width, layout: 'hwc' };
  } catch (error) {
    throw new InputError(`Can't read the image ${path}: ${messageOf(error).split('\n')[0]!.replace(/[.\s]+$/, '')}.`, { cause: error });
  }
}

/** Decodes many images, a few at a time. */
export async function readImageFiles(paths: readonly string[], covering?: ImageSize, atOnce = 4): Promise<RawImage[]> {
  const images: RawImage[] = [];
  let next = 0;
  await Promise.all(Array.from({ length: Math.min(atOnce, paths.length) }, async () => {
    while (next < paths.length) {
      const i = next++;
      images[i] = await readImageFile(paths[i]!, covering);
    }
  }));
  return images;
}
