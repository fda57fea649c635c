/** Where the groups and the single weights of a plan.json stand, and what is kept of each. Pure: no VS Code. */
import { type Node, findNodeAtLocation, parseTree } from 'jsonc-parser';
import { bar, changeLabel, changeText, weightsText } from './sparsity.ts';

export interface PlanGroup { /** Position of the group's name (or id) in the text. */ readonly offset: number; readonly end: number; readonly name: string; readonly channels: number; readonly kept: number }

/** The groups of a plan; those that are incomplete while someone types are left out. */
export function planGroups(text: string): readonly PlanGroup[] {
  const tree = parseTree(text);
  const groups = tree && findNodeAtLocation(tree, ['groups']);
  return (groups?.children ?? []).flatMap((group) => {
    const label = findNodeAtLocation(group, ['name']) ?? findNodeAtLocation(group, ['id']);
    const channels: unknown = findNodeAtLocation(group, ['channels'])?.value;
    const kept: Node | undefined = findNodeAtLocation(group, ['kept']);
    if (!label || typeof channels !== 'number' || channels <= 0 || kept?.type !== 'array') return [];
    return [{ offset: label.offset, end: label.offset + label.length, name: String(label.value), channels, kept: kept.children?.length ?? 0 }];
  });
}

/** What a plan does, where it says so: `label` with a bar, `text` without. */
export interface PlanNote { readonly offset: number; readonly name: string; readonly label: string; readonly text: string }

/** Of each group, and of each tensor whose single weights go; then a group that keeps all its channels is not worth a word. */
export function planNotes(text: string): readonly PlanNote[] {
  const tree = parseTree(text), listed = tree && findNodeAtLocation(tree, ['weights']);
  const weights = (listed?.children ?? []).flatMap((entry): PlanNote[] => {
    const initializer = findNodeAtLocation(entry, ['initializer']), preserve: unknown = findNodeAtLocation(entry, ['preserve'])?.value;
    if (!initializer || typeof preserve !== 'number') return [];
    return [{ offset: initializer.offset, name: String(initializer.value), label: `${bar(preserve)} ${weightsText(preserve)}`, text: weightsText(preserve) }];
  });
  const groups = planGroups(text).filter(({ channels, kept }) => weights.length === 0 || kept < channels).map(({ offset, name, channels, kept }): PlanNote => {
    const change = { channelsBefore: channels, channelsAfter: kept, weightSparsity: 0 };
    return { offset, name, label: changeLabel(change), text: changeText(change) };
  });
  return [...groups, ...weights];
}
