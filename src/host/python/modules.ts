/** The tree of PyTorch modules that a Python source defines, as far as it can be read without running it. */
import { type Block, type Span, blank, blocks, closing, expressionEnd, splitAtCommas } from './scan.ts';

/** What an attribute or a child is. `unknown` is never looked into. */
export type Module =
  /** nn.Conv2d, nn.Linear ...; `offset` is where the definition starts, a number is NaN where the source computes it. */
  | { readonly kind: 'leaf'; readonly type: string; readonly offset: number; readonly numbers: Readonly<Record<string, number | undefined>> }
  | { readonly kind: 'children'; readonly children: ReadonlyMap<string, Module> }
  /** Any number of children, each made alike. */
  | { readonly kind: 'repeat'; readonly child: Module }
  | { readonly kind: 'instance'; readonly className: string }
  | { readonly kind: 'unknown' };

export interface ModuleClass {
  readonly name: string;
  /** Names of the classes that it is made from, where they are written as names. */
  readonly bases: readonly string[];
  /** What each `self.NAME` may be: several where it is assigned more than once. */
  readonly attributes: ReadonlyMap<string, readonly Module[]>;
}

const unknown: Module = { kind: 'unknown' };
const leafArguments: Readonly<Record<string, readonly string[]>> = {
  ...Object.fromEntries(['Conv1d', 'Conv2d', 'Conv3d'].map((type) => [type, ['in_channels', 'out_channels', 'kernel_size', 'stride', 'padding', 'dilation', 'groups']])),
  ...Object.fromEntries(['ConvTranspose1d', 'ConvTranspose2d', 'ConvTranspose3d'].map((type) => [type, ['in_channels', 'out_channels', 'kernel_size', 'stride', 'padding', 'output_padding', 'groups']])),
  Linear: ['in_features', 'out_features'],
};

/** `... if CONDITION else None`: the module, where there is one. */
const orNothing = /^\s+if\s[^\n]*\selse\s+(None|nn\.Identity\(\)|nn\.Sequential\(\))\s*$/;

interface Scope { readonly source: string; readonly text: string; readonly classes: ReadonlyMap<string, Block>; readonly functions: ReadonlyMap<string, Block>; readonly methods: ReadonlyMap<string, Block>; readonly depth: number }

/** Every class of the source that has attributes, by name. A name defined twice is left out. */
export function moduleClasses(source: string): ReadonlyMap<string, ModuleClass> {
  const text = blank(source);
  const whole = { start: 0, end: text.length };
  const classes = unique(blocks(text, 'class', whole));
  const inClass = (offset: number) => [...classes.values()].some(({ body }) => offset >= body.start && offset < body.end);
  const functions = unique(blocks(text, 'def', whole).filter(({ body }) => !inClass(body.start)));
  const result = new Map<string, ModuleClass>();
  for (const [name, { body, parameters }] of classes) {
    const scope: Scope = { source, text, classes, functions, methods: unique(blocks(text, 'def', body)), depth: 0 };
    result.set(name, { name, bases: parameters, attributes: attributesOf(scope, body) });
  }
  return result;
}

function unique(found: readonly Block[]): ReadonlyMap<string, Block> {
  const counts = new Map<string, number>();
  for (const { name } of found) counts.set(name, (counts.get(name) ?? 0) + 1);
  return new Map(found.filter(({ name }) => counts.get(name) === 1).map((block) => [block.name, block]));
}

function attributesOf(scope: Scope, { start, end }: Span): ReadonlyMap<string, readonly Module[]> {
  const attributes = new Map<string, Module[]>();
  const add = (name: string, module: Module) => { attributes.set(name, [...(attributes.get(name) ?? []), module]); };
  const { text } = scope;
  const assignment = /\bself\.(\w+)[ \t]*(?::[^=\n()]+)?=(?!=)[ \t]*/g;
  assignment.lastIndex = start;
  for (let match = assignment.exec(text); match && match.index < end; match = assignment.exec(text)) {
    add(match[1]!, readModule(scope, { start: assignment.lastIndex, end: expressionEnd(text, assignment.lastIndex) }, match.index));
  }
  const addModule = /\bself\.(?:add_module|register_module)\(/g;
  addModule.lastIndex = start;
  for (let match = addModule.exec(text); match && match.index < end; match = addModule.exec(text)) {
    const after = closing(text, addModule.lastIndex - 1);
    const [name, module] = after < 0 ? [] : splitAtCommas(text, { start: addModule.lastIndex, end: after - 1 });
    const literal = name && stringLiteral(scope, name);
    if (literal && module) add(literal, readModule(scope, module, match.index));
  }
  return attributes;
}

/** @param definedAt where the definition that people see starts: the assignment, or the child's own expression */
function readModule(scope: Scope, span: Span, definedAt: number): Module {
  const { text, classes, functions, methods } = scope;
  const call = /^([A-Za-z_][\w.]*)\s*\(/.exec(text.slice(span.start, span.end));
  if (!call || scope.depth > 8) return unknown;
  const open = span.start + call[0].length - 1;
  const after = closing(text, open);
  if (after < 0 || !(text.slice(after, span.end).trim() === '' || orNothing.test(text.slice(after, span.end)))) return unknown; // a longer expression than one call
  const callee = call[1]!;
  const type = callee.split('.').at(-1)!;
  const args = splitAtCommas(text, { start: open + 1, end: after - 1 });
  const deeper = { ...scope, depth: scope.depth + 1 };
  if (callee.startsWith('self.')) return readMethodCall(deeper, methods.get(callee.slice(5)), args);
  if (classes.has(callee)) return { kind: 'instance', className: callee };
  if (functions.has(callee)) return readFunctionCall(deeper, functions.get(callee)!, definedAt);
  if (type in leafArguments && (callee === type || /^(torch\.)?nn\.\w+$/.test(callee))) return { kind: 'leaf', type, offset: definedAt, numbers: literalNumbers(text, args, leafArguments[type]!) };
  if (type === 'Sequential') return readSequential(deeper, args);
  if (type === 'ModuleList') return args.length === 1 ? readList(deeper, args[0]!) : unknown;
  if (type === 'ModuleDict') return args.length === 1 ? readDict(deeper, args[0]!) : unknown;
  return unknown;
}

function readSequential(scope: Scope, args: readonly Span[]): Module {
  const { text } = scope;
  const only = args.length === 1 ? text.slice(args[0]!.start, args[0]!.end) : '';
  if (/^(collections\.)?OrderedDict\s*\(/.test(only)) {
    const open = args[0]!.start + only.indexOf('(');
    const list = splitAtCommas(text, { start: open + 1, end: closing(text, open) - 1 })[0];
    if (!list || text[list.start] !== '[') return unknown;
    return named(scope, splitAtCommas(text, { start: list.start + 1, end: list.end - 1 }).map((pair) => splitAtCommas(text, { start: pair.start + 1, end: pair.end - 1 })));
  }
  if (/^\*\s*\[/.test(only)) return readList(scope, { start: text.indexOf('[', args[0]!.start), end: args[0]!.end });
  if (args.some(({ start }) => text[start] === '*')) return unknown;
  return { kind: 'children', children: new Map(args.map((span, index) => [String(index), readModule(scope, span, span.start)])) };
}

/** `[A(...), B(...)]`, or `[A(...) for ...]` which makes any number of one kind. */
function readList(scope: Scope, span: Span): Module {
  const { text } = scope;
  if (text[span.start] !== '[' || closing(text, span.start) !== span.end) return unknown;
  const inner = { start: span.start + 1, end: span.end - 1 };
  const comprehension = /\sfor\s/.exec(text.slice(inner.start, inner.end));
  const items = splitAtCommas(text, inner);
  if (comprehension) {
    const element = { start: items[0]!.start, end: inner.start + comprehension.index };
    return { kind: 'repeat', child: readModule(scope, element, element.start) };
  }
  if (items.some(({ start }) => text[start] === '*')) return unknown;
  return { kind: 'children', children: new Map(items.map((item, index) => [String(index), readModule(scope, item, item.start)])) };
}

function readDict(scope: Scope, span: Span): Module {
  const { text } = scope;
  if (text[span.start] !== '{') return unknown;
  return named(scope, splitAtCommas(text, { start: span.start + 1, end: span.end - 1 }).map((pair) => {
    const colon = text.indexOf(':', pair.start);
    if (colon < 0 || colon >= pair.end) return [];
    return splitAtCommas(text, { start: pair.start, end: colon }).concat(splitAtCommas(text, { start: colon + 1, end: pair.end }));
  }));
}

function named(scope: Scope, pairs: readonly (readonly Span[])[]): Module {
  const children = new Map<string, Module>();
  for (const [key, value] of pairs) {
    const name = key && stringLiteral(scope, key);
    if (!name || !value) return unknown;
    children.set(name, readModule(scope, value, key.start));
  }
  return { kind: 'children', children };
}

/** A helper such as `def conv3x3(...): return nn.Conv2d(...)`: what it returns, seen at the call where it is one layer. */
function readFunctionCall(scope: Scope, { body }: Block, definedAt: number): Module {
  const returns = [...scope.text.slice(body.start, body.end).matchAll(/\breturn[ \t]+/g)];
  if (returns.length !== 1) return unknown;
  const start = body.start + returns[0]!.index + returns[0]![0].length;
  const module = readModule(scope, { start, end: expressionEnd(scope.text, start) }, start);
  return module.kind === 'leaf' ? { ...module, offset: definedAt } : module;
}

/** A method such as `_make_layer(BasicBlock, 16, ...)` that fills a list with one kind of block and returns nn.Sequential(*list). */
function readMethodCall({ text, classes }: Scope, method: Block | undefined, args: readonly Span[]): Module {
  if (!method) return unknown;
  const body = text.slice(method.body.start, method.body.end);
  if (!/\breturn\s+nn\.Sequential\(\s*\*\s*\w+\s*\)/.test(body)) return unknown;
  const made = [...body.matchAll(/\.append\(\s*([\w.]+)\s*\(|=\s*\[\s*(?:([\w.]+)\s*\(|\])/g)].map((match) => match[1] ?? match[2]).filter((name) => name !== undefined);
  if (made.length === 0 || new Set(made).size !== 1 || /\.(extend|insert)\(|\+=\s*\[/.test(body)) return unknown;
  const name = made[0]!;
  const position = method.parameters.filter((parameter) => parameter !== 'self').indexOf(name);
  const given = position >= 0 && args[position] ? text.slice(args[position].start, args[position].end).replace(/^\w+\s*=\s*/, '') : name;
  return classes.has(given) ? { kind: 'repeat', child: { kind: 'instance', className: given } } : unknown;
}

function stringLiteral({ source, text }: Scope, { start, end }: Span): string | undefined {
  return text[start] === '"' && text[end - 1] === '"' ? source.slice(start + 1, end - 1) : undefined;
}

/** Arguments by parameter name: whole numbers as such, anything else as NaN. */
function literalNumbers(text: string, args: readonly Span[], names: readonly string[]): Record<string, number | undefined> {
  const numbers: Record<string, number | undefined> = {};
  args.forEach((span, index) => {
    const [, keyword, value = ''] = /^(?:(\w+)\s*=(?!=)\s*)?([\s\S]*)$/.exec(text.slice(span.start, span.end))!;
    const name = keyword ?? names[index];
    if (name) numbers[name] = /^\d+$/.test(value) ? Number(value) : NaN;
  });
  return numbers;
}
