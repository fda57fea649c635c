/** What can be done with a network, wherever it stands in a table. */
import type { CellButton } from './cells.ts';
import { t } from './l10n.ts';
import type { Point } from './state.ts';

/** What the buttons do; where there is no `write`, no model can be written. */
export interface PointActions { readonly choose: (id: string) => void; readonly write: ((episode: number) => void) | undefined }

/** Cells of the columns "Layers" and "Model": a button each where it has an effect. */
export function pointButtons({ id, label, choosable, episode }: Point, shown: Point | undefined, { choose, write }: PointActions): readonly (string | CellButton)[] {
  return [
    choosable ? { text: t('Show'), label: t('Show the layers of {0}', label), pressed: id === shown?.id, act: () => choose(id) } : '',
    episode !== undefined && write ? { text: t('Write...'), label: t('Write the model of episode {0}', episode), act: () => write(episode) } : '',
  ];
}
