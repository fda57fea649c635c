import { createReadStream } from 'node:fs';
import { access, stat } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { parse } from 'csv-parse';
import { InputError, messageOf } from '../errors.ts';
import type { ImageDataset } from './dataset.ts';
import { isImageName } from './imageFile.ts';
import { imageFiles } from './imageFolder.ts';

const maxRows = 20_000_000;

/**
 * Opens a CSV of path,label: paths relative to the CSV; labels are class numbers, or names that are numbered in their alphabetical order.
 * A first row is a heading where it names neither an image nor a file that exists. A CSV of paths alone is unlabelled.
 */
export async function openCsvManifest(path: string): Promise<ImageDataset> {
  const files: string[] = [], names: string[] = [];
  let columns = 0, line = 0, headings = 0;
  const pathOf = (name: string): string => resolve(dirname(path), name);
  const file = createReadStream(path), rows = parse({ bom: true, trim: true, skip_empty_lines: true, relax_column_count: true, max_record_size: 65_536 });
  file.on('error', (error) => { rows.destroy(error); }).pipe(rows);
  try {
    for await (const row of rows as AsyncIterable<string[]>) {
      line++;
      if (line === 1) {
        columns = row.length;
        headings = isImageName(row[0]!.split(/[\\/]/).at(-1)!) || await isFile(pathOf(row[0]!)) ? 0 : 1;
        if (headings > 0) continue;
      }
      if (row.length !== columns || columns > 2 || row[0] === '') throw new InputError(`${path}, row ${line}: expected ${columns === 1 ? 'a path' : 'path,label'}, got ${JSON.stringify(row.join(',').slice(0, 100))}.`);
      if (columns === 2 && row[1] === '') throw new InputError(`${path}, row ${line}: the label of ${row[0]} is missing.`);
      if (files.length >= maxRows) throw new InputError(`${path} lists more than ${maxRows} images.`);
      files.push(pathOf(row[0]!));
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
  const { labels, classNames } = numberLabels(names, (i) => `${path}, row ${headings + i + 1}`);
  return imageFiles(path, files, labels, classNames);
}

const isFile = (path: string): Promise<boolean> => stat(path).then((info) => info.isFile(), () => false);

/** Class numbers of labels that are all numbers, or all names. @param at says where the label of an image stands @throws {InputError} for a mixture: to take numbers for names would order 10 before 2 */
function numberLabels(names: readonly string[], at: (image: number) => string): { labels: Int32Array; classNames: string[] | undefined } {
  const numbers = names.map(Number), areNumbers = !Number.isNaN(numbers[0]), other = numbers.findIndex((label) => Number.isNaN(label) === areNumbers);
  if (other > 0) throw new InputError(`${at(other)}: the label ${JSON.stringify(names[other]!.slice(0, 100))} is ${areNumbers ? 'no number' : 'a number'}, but that of the first image (${JSON.stringify(names[0]!.slice(0, 100))}) is ${areNumbers ? 'one' : 'none'}. Labels are all class numbers, or all names.`);
  if (areNumbers) {
    const wrong = numbers.findIndex((label) => !Number.isInteger(label) || label < 0 || label > 0x7fffffff);
    if (wrong >= 0) throw new InputError(`${at(wrong)}: label ${names[wrong]!.slice(0, 100)} of image ${wrong} is not a class number (0, 1, 2 ...).`);
    return { labels: Int32Array.from(numbers), classNames: undefined };
  }
  const classNames = [...new Set(names)].sort(), numberOf = new Map(classNames.map((name, i) => [name, i]));
  return { labels: Int32Array.from(names, (name) => numberOf.get(name)!), classNames };
}
