/** Where the groups of a plan.json stand, and what each keeps. Pure: no VS Code. */
import { type Node, findNodeAtLocation, parseTree } from 'jsonc-parser';

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
