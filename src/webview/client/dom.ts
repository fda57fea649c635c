/** Small helpers to build and keep up elements. Text goes in as text, never as HTML. */
type Child = Node | string | undefined;
type Attributes = Readonly<Record<string, string | number | boolean | undefined | ((event: Event) => void)>>;

/** An element with attributes (true: present, false or undefined: absent), `onclick`-like listeners, and children. */
export function el<K extends keyof HTMLElementTagNameMap>(tag: K, attributes?: Attributes, ...children: Child[]): HTMLElementTagNameMap[K];
export function el(tag: string, attributes?: Attributes, ...children: Child[]): HTMLElement;
export function el(tag: string, attributes: Attributes = {}, ...children: Child[]): HTMLElement {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === 'function') element.addEventListener(name.slice(2), value);
    else if (value !== undefined && value !== false) element.setAttribute(name, value === true ? '' : String(value));
  }
  element.append(...children.filter((child) => child !== undefined));
  return element;
}

/** Sets text only where it differs, so that screen readers and selections are left in peace. */
export function setText(element: Element, text: string): void { if (element.textContent !== text) element.textContent = text; }
export function show(element: HTMLElement, visible: boolean): void { element.hidden = !visible; }

/** Calls `draw` at most once an animation frame however often it is asked. */
export function throttleToFrame(draw: () => void): () => void {
  let waiting = false;
  return () => {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => { waiting = false; draw(); });
  };
}

/** Data of a table: column headings (right-aligned where numeric) and rows of cells. */
export interface Column { readonly title: string; readonly numeric?: boolean }
export function fillTable(table: HTMLTableElement, caption: string, columns: readonly Column[], rows: readonly (readonly Child[])[]): void {
  const heading = (column: Column) => el('th', { scope: 'col', class: column.numeric ? 'numeric' : undefined }, column.title);
  const cell = (child: Child, column: Column | undefined, index: number) => el(index === 0 ? 'th' : 'td', { scope: index === 0 ? 'row' : undefined, class: column?.numeric ? 'numeric' : undefined }, child);
  table.replaceChildren(
    el('caption', {}, caption),
    el('thead', {}, el('tr', {}, ...columns.map(heading))),
    el('tbody', {}, ...rows.map((row) => el('tr', {}, ...row.map((child, index) => cell(child, columns[index], index))))),
  );
}
