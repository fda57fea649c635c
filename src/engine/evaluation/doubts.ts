import type { Metric } from '../protocol.ts';

export interface Measured {
  readonly metric: Metric;
  /** Fraction in [0, 1] that the original model reaches. */
  readonly accuracy: number;
  readonly images: number;
  /** Classes that the model scores. */
  readonly classes: number;
  readonly classNames?: readonly string[];
}

/**
 * What makes a measured accuracy doubtful, in words for the user: fewer named classes than the model has, and an accuracy that guessing would reach.
 * @param path of the data
 */
export function doubtsAbout(path: string, { metric, accuracy, images, classes, classNames }: Measured): string[] {
  if (metric === 'agreement' || classes < (metric === 'top5' ? 6 : 2)) return [];
  const doubts: string[] = [], chance = (metric === 'top5' ? 5 : 1) / classes;
  if (classNames && classNames.length < classes) {
    const some = classNames.slice(0, 4).join(', ');
    doubts.push(`${path} has ${classNames.length} classes (${some}${classNames.length > 4 ? ', ...' : ''}), the model ${classes}: these were taken for its classes 0 to ${classNames.length - 1}. Are they the right data?`);
  }
  if (accuracy < Math.min(chance + 3 * Math.sqrt((chance * (1 - chance)) / images), (1 + chance) / 2)) { // of few images nothing is sure: half way to perfect will do
    doubts.push(`The model is no better than guessing on ${path} (${(100 * accuracy).toFixed(1)}% right, ${classes} classes): the order of the classes or the preprocessing is wrong, and a search can't tell good candidates from bad ones.`);
  }
  return doubts;
}
