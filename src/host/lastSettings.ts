/** What runs were set up with, for the next one. Pure: no VS Code. */
import type { CompressRequest } from '../engine/protocol.ts';
import type { Memento } from './runStore.ts';

/** What the wizard asks beside the images; the metric only where labels can't judge the model. */
const asked = ['target', 'method', 'episodes', 'finetune', 'metric'] as const;
/** The images of a run, and what was chosen other than the settings say. */
export type LastSettings = Pick<CompressRequest, 'val'> & Partial<Pick<CompressRequest, (typeof asked)[number]>>;

/** That there is no number of episodes, so that the time decides, is a choice too: it is kept as 0. */
const valueOf = (request: CompressRequest, name: (typeof asked)[number]) => (name === 'episodes' ? request.episodes ?? 0 : request[name]);

const key = 'autoCompress.lastSettings';
const all = (memento: Memento) => memento.get<Readonly<Record<string, LastSettings>>>(key, {});

/** Those of the last run on this model; for a model that had none, those of the last run. */
export const lastSettings = (memento: Memento, modelPath: string): LastSettings | undefined => all(memento)[modelPath] ?? all(memento)[''];

/** Notes a run that the engine accepted. What it has from the settings is left out, so that settings that change later count. */
export async function rememberSettings(memento: Memento, request: CompressRequest, settings: CompressRequest): Promise<void> {
  const chosen = asked.filter((name) => valueOf(request, name) !== undefined && JSON.stringify(valueOf(request, name)) !== JSON.stringify(valueOf(settings, name)));
  const last: LastSettings = { val: request.val, ...Object.fromEntries(chosen.map((name) => [name, valueOf(request, name)])) };
  const { metric: _, ...usual } = last; // labels that can't judge one model may judge another
  await memento.update(key, { ...all(memento), [request.model]: last, '': usual });
}

/** The request that the settings make, with those on top. */
export const withLast = (request: CompressRequest, last: LastSettings): CompressRequest => ({ ...request, ...last, ...(last.episodes === 0 ? { episodes: undefined } : {}) });
