import { createReadStream } from 'node:fs';
import { access } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { parse } from 'csv-parse';
import { InputError, messageOf } from '../errors.ts';
import type { ImageDataset } from './dataset.ts';
import { isImageName } from './imageFile.ts';
import { imageFiles } from './imageFolder.ts';

const maxRows = 20_000_000;

/**
 * Opens a CSV of path,label: paths relative to the CSV; labels are class numbers, or names that are numbered in their alphabetical order.
 * A first line without an image's name is a heading. A CSV of paths alone is unlabelled.
 */
export async function openCsvManifest(path: string): Promise<ImageDataset> {
  const files: string[] = [], names: string[] = [];
  let columns = 0, line = 0;
  const file = createReadStream(path), rows = parse({ bom: true, trim: true, skip_empty_lines: true, relax_column_count: true, max_record_size: 65_536 });
  file.on('error', (error) => { rows.destroy(error); }).pipe(rows);
  try {
    for await (const row of rows as AsyncIterable<string[]>) {
      line++;
      if (line === 1) {
        columns = row.length;
        if (!isImageName(row[0]!.split(/[\\/]/).at(-1)!)) continue;
      }
      if (row.length !== columns || columns > 2 || row[0] === '') throw new InputError(`${path}, row ${line}: expected ${columns === 1 ? 'a path' : 'path,label'}, got ${JSON.stringify(row.join(',').slice(0, 100))}.`);
      if (columns === 2 && row[1] === '') throw new InputError(`${path}, row ${line}: the label of ${row[0]} is missing.`);
      if (files.length >= maxRows) throw new InputError(`${path} lists more than ${maxRows} images.`);
      files.push(resolve(dirname(path), row[0]!));
      names.push(row[1] ?? '');
    }
  } catch (error) {
    if (error instanceof InputError) throw error;
    throw new InputError(`Can't read the CSV ${path}: ${messageOf(error)}.`, { cause: error });
  } finally {
    file.destroy(); // a row that is refused ends the parser, which leaves the file open
  }
  if (files.length === 0) throw new InputError(`${path} lists no images. Each row is path,label.`);
  await access(files[0]!).catch(() => { throw new InputError(`${path} lists ${files[0]}, which does not exist. Paths are relative to the CSV.`); });
  if (columns === 1) return imageFiles(path, files, undefined, undefined);
  const { labels, classNames } = numberLabels(names, path);
  return imageFiles(path, files, labels, classNames);
}

function numberLabels(names: readonly string[], path: string): { labels: Int32Array; classNames: string[] | undefined } {
  const numbers = names.map((name) => (/^[+-]?\d+(\.0*)?$/.test(name) ? Number(name) : NaN));
  if (numbers.every((label) => !Number.isNaN(label))) {
    const wrong = numbers.findIndex((label) => label < 0 || label > 0x7fffffff);
    if (wrong >= 0) throw new InputError(`${path}: label ${numbers[wrong]} of image ${wrong} is not a class number (0, 1, 2 ...).`);
    return { labels: Int32Array.from(numbers), classNames: undefined };
  }
  const classNames = [...new Set(names)].sort();
  const numberOf = new Map(classNames.map((name, i) => [name, i]));
  return { labels: Int32Array.from(names, (name) => numberOf.get(name)!), classNames };
}
