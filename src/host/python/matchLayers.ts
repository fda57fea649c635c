/** Finds the Python definition of each layer of an exported model; where there is any doubt, none. */
import { type Module, type ModuleClass, moduleClasses } from './modules.ts';

/** What is known of an exported layer. */
export interface ExportedLayer {
  /** Node name, such as `/features/features.3/conv/Conv`. */
  readonly name: string;
  readonly opType: string;
  /** Initializer name, such as `features.3.conv.weight`. */
  readonly weight: string;
  readonly weightShape: readonly number[];
}

/** One definition in the source and the layers that it makes (several where a class is used several times). */
export interface LayerDefinition<L> { readonly offset: number; readonly layers: readonly L[] }

/**
 * The path of the module that owns the layer, `features.3.conv`: from the initializer's name, or where the exporter
 * renamed that (folded normalisation), from the scopes in the node's name. Undefined where neither tells.
 */
export function modulePath({ name, weight }: Pick<ExportedLayer, 'name' | 'weight'>): readonly string[] | undefined {
  const parts = weight.split('.');
  if (parts.length >= 2 && parts.at(-1) === 'weight' && parts.every((part) => /^\w+$/.test(part))) return parts.slice(0, -1);
  const scopes = name.split('/').slice(0, -1).filter((scope) => scope !== '');
  if (!name.startsWith('/') || scopes.length === 0) return undefined;
  return scopes.reduce((path, scope) => joinScope(path, scope.split('.')), [] as readonly string[]);
}

/** torch.onnx writes child `0` of `layers` as scope `layers.0` inside scope `layers`: the part that both have counts once. */
function joinScope(path: readonly string[], scope: readonly string[]): readonly string[] {
  const overlap = scope.findLastIndex((_part, length) => length > 0 && length <= path.length && scope.slice(0, length).every((part, index) => part === path[path.length - length + index]));
  return [...path, ...scope.slice(Math.max(overlap, 0))];
}

/**
 * Definitions of `layers` in a Python source. The class is the one in which every top-level module of the model is an attribute and most
 * layers are found; a tie, a contradicting shape, or two possible definitions give nothing.
 */
export function matchLayers<L extends ExportedLayer>(source: string, layers: readonly L[]): readonly LayerDefinition<L>[] {
  const classes = moduleClasses(source);
  const paths = layers.map((layer) => ({ layer, path: withoutWrapper(modulePath(layer)) }));
  if (layers.length === 0 || paths.some(({ path }) => path === undefined)) return [];
  const found = [...classes.values()]
    .filter(({ attributes }) => paths.every(({ path }) => attributes.has(path![0]!)))
    .map((root) => definitionsIn(classes, root, paths as readonly Located<L>[]))
    .filter((result) => result.size > 0)
    .sort((a, b) => b.size - a.size);
  if (found.length === 0 || (found[1] && found[1].size === found[0]!.size)) return [];
  const byOffset = new Map<number, L[]>();
  for (const [layer, offset] of found[0]!) byOffset.set(offset, [...(byOffset.get(offset) ?? []), layer]);
  return [...byOffset].map(([offset, made]) => ({ offset, layers: made })).sort((a, b) => a.offset - b.offset);
}

interface Located<L> { readonly layer: L; readonly path: readonly string[] }
type Leaf = Extract<Module, { kind: 'leaf' }>;

/** nn.DataParallel puts everything under `module`. */
const withoutWrapper = (path: readonly string[] | undefined) => (path?.[0] === 'module' && path.length > 1 ? path.slice(1) : path);

/** The classes made from this one, and from those. */
function subclassesOf(classes: ReadonlyMap<string, ModuleClass>, { name }: ModuleClass): ReadonlySet<ModuleClass> {
  const found = new Set<ModuleClass>(), names = new Set([name]);
  for (let before = -1; before < found.size;) {
    before = found.size;
    for (const each of classes.values()) if (!names.has(each.name) && each.bases.some((base) => names.has(base))) { found.add(each); names.add(each.name); }
  }
  return found;
}

/** Offset of the one definition of each layer under `root`; none at all when a shape contradicts. The model may be of a subclass, which may define an attribute anew. */
function definitionsIn<L extends ExportedLayer>(classes: ReadonlyMap<string, ModuleClass>, root: ModuleClass, layers: readonly Located<L>[]): ReadonlyMap<L, number> {
  const offsets = new Map<L, number>(), family = [root, ...subclassesOf(classes, root)];
  for (const { layer, path: [head, ...rest] } of layers) {
    const leaves = family.flatMap(({ attributes }) => attributes.get(head!) ?? []).flatMap((module) => resolve(classes, module, rest));
    const fitting = leaves.filter((leaf) => fits(leaf, layer));
    if (leaves.length > 0 && fitting.length === 0) return new Map();
    if (fitting.length === 1) offsets.set(layer, fitting[0]!.offset);
  }
  return offsets;
}

/** Every definition that the path may mean. */
function resolve(classes: ReadonlyMap<string, ModuleClass>, found: Module, path: readonly string[]): readonly Leaf[] {
  const [head, ...rest] = path;
  if (found.kind === 'leaf') return head === undefined ? [found] : [];
  if (head === undefined) return [];
  switch (found.kind) {
    case 'children': { const child = found.children.get(head); return child ? resolve(classes, child, rest) : []; }
    case 'repeat': return /^\d+$/.test(head) ? resolve(classes, found.child, rest) : [];
    case 'instance': return (classes.get(found.className)?.attributes.get(head) ?? []).flatMap((child) => resolve(classes, child, rest));
    case 'unknown': return [];
    default: found satisfies never; return [];
  }
}

/** Whether operator and literal sizes of a definition agree with the exported weight. */
function fits({ type, numbers }: Leaf, { opType, weightShape }: ExportedLayer): boolean {
  const agrees = (written: number | undefined, actual: number | undefined) => written === undefined || Number.isNaN(written) || written === actual;
  if (type === 'Linear') {
    const { in_features: input, out_features: output } = numbers;
    const [rows, columns] = weightShape;
    return (opType === 'Gemm' || opType === 'MatMul') && weightShape.length === 2
      && ((agrees(output, rows) && agrees(input, columns)) || (agrees(output, columns) && agrees(input, rows)));
  }
  const transposed = type.startsWith('ConvTranspose');
  if (opType !== (transposed ? 'ConvTranspose' : 'Conv') || weightShape.length !== Number(type.at(-2)) + 2) return false;
  const { in_channels: input, out_channels: output, kernel_size: kernel, groups } = numbers;
  const [whole, perGroup] = transposed ? [input, output] : [output, input];
  return agrees(whole, weightShape[0]) && agrees(perGroup === undefined ? undefined : perGroup / (groups ?? 1), weightShape[1]) && agrees(kernel, weightShape[2]);
}
