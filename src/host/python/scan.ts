/** Just enough reading of Python to find where modules are defined: comments and strings blanked, brackets matched, classes and calls found. */

/** The source with the insides of strings and all comments replaced by spaces: same length, same lines, brackets and names safe to search. */
export function blank(source: string): string {
  return source.replace(/#[^\n]*|[rbfuRBFU]{0,2}("""[\s\S]*?(?:"""|$)|'''[\s\S]*?(?:'''|$)|"(?:\\.|[^"\\\n])*"?|'(?:\\.|[^'\\\n])*'?)/g, (token) => {
    const hidden = token.replace(/[^\n]/g, ' ');
    return token.startsWith('#') || token.length < 2 ? hidden : `"${hidden.slice(1, -1)}"`;
  });
}

/** Position after the bracket that closes the one at `open`, or -1. */
export function closing(text: string, open: number): number {
  let depth = 0;
  for (let i = open; i < text.length; i++) {
    if ('([{'.includes(text[i]!)) depth++;
    else if (')]}'.includes(text[i]!) && --depth === 0) return i + 1;
  }
  return -1;
}

export interface Span { readonly start: number; readonly end: number }

/** Trimmed spans between the top-level commas of [start, end). */
export function splitAtCommas(text: string, { start, end }: Span): Span[] {
  const spans: Span[] = [];
  let depth = 0, from = start;
  const push = (to: number) => {
    let [a, b] = [from, to];
    while (a < b && /\s/.test(text[a]!)) a++;
    while (b > a && /\s/.test(text[b - 1]!)) b--;
    if (b > a) spans.push({ start: a, end: b });
    from = to + 1;
  };
  for (let i = start; i < end; i++) {
    if ('([{'.includes(text[i]!)) depth++;
    else if (')]}'.includes(text[i]!)) depth--;
    else if (text[i] === ',' && depth === 0) push(i);
  }
  push(end);
  return spans;
}

/** End of the statement or argument whose expression starts at `start`: the end of its last line outside brackets. */
export function expressionEnd(text: string, start: number): number {
  for (let i = start; i < text.length; i++) {
    if ('([{'.includes(text[i]!)) { const after = closing(text, i); if (after < 0) return text.length; i = after - 1; }
    else if (text[i] === '\n' && text[i - 1] !== '\\') return i;
  }
  return text.length;
}

export interface Block { readonly name: string; /** Parameters of a function, bases of a class. */ readonly parameters: readonly string[]; readonly body: Span }

/** `class` or `def` blocks of [start, end), with bodies by indentation. Blocks inside other blocks are found too. */
export function blocks(text: string, keyword: 'class' | 'def', { start, end }: Span): Block[] {
  const found: Block[] = [];
  const pattern = new RegExp(`^([ \\t]*)(?:async[ \\t]+)?${keyword}[ \\t]+(\\w+)`, 'gm');
  pattern.lastIndex = start;
  for (let match = pattern.exec(text); match && match.index < end; match = pattern.exec(text)) {
    const open = pattern.lastIndex;
    const hasParameters = /^\s*\(/.test(text.slice(open, open + 40));
    const parameterStart = hasParameters ? text.indexOf('(', open) : open;
    const parameterEnd = hasParameters ? closing(text, parameterStart) : open;
    if (parameterEnd < 0) continue;
    const colon = text.indexOf(':', parameterEnd);
    if (colon < 0) continue;
    const parameters = hasParameters ? splitAtCommas(text, { start: parameterStart + 1, end: parameterEnd - 1 }).map((span) => /^\**\w+/.exec(text.slice(span.start, span.end))?.[0] ?? '') : [];
    found.push({ name: match[2]!, parameters, body: { start: colon + 1, end: Math.min(end, bodyEnd(text, colon + 1, match[1]!.length)) } });
  }
  return found;
}

function bodyEnd(text: string, start: number, indent: number): number {
  let lineStart = text.indexOf('\n', start);
  while (lineStart >= 0 && lineStart < text.length) {
    const lineEnd = text.indexOf('\n', lineStart + 1);
    const line = text.slice(lineStart + 1, lineEnd < 0 ? text.length : lineEnd);
    const width = line.length - line.trimStart().length;
    if (line.trim() !== '' && width <= indent && !/^[)\]}]/.test(line.trim())) return lineStart;
    lineStart = lineEnd;
  }
  return text.length;
}
