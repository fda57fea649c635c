import type { CellButton, Column, Row } from './cells.ts';
import { el, setText } from './dom.ts';

/** A table that is kept up while its rows change. What stays is the same element in the same place, so that a click that is under way, the focus and a selection survive. */
export class Table {
  readonly element: HTMLTableElement;
  private readonly caption = el('caption');
  private readonly headings = el('tr');
  private readonly body = el('tbody');
  private readonly rows = new Map<string | number, HTMLTableRowElement>();

  constructor(attributes: Readonly<Record<string, string>> = {}) { this.element = el('table', attributes); }

  update(caption: string, columns: readonly Column[], rows: readonly Row[]): void {
    if (!this.element.firstChild) this.element.append(this.caption, el('thead', {}, this.headings), this.body); // before that it takes no room
    setText(this.caption, caption);
    if (this.headings.cells.length !== columns.length) this.headings.replaceChildren(...columns.map(({ numeric }) => el('th', { scope: 'col', class: numeric ? 'numeric' : undefined })));
    columns.forEach(({ title }, index) => setText(this.headings.cells[index]!, title));
    this.place(rows, columns);
    for (const { id, cells } of rows) cells.forEach((content, index) => fill(this.rows.get(id)!.cells[index]!, content));
  }

  /** Takes away the rows that went and puts new ones where they belong; none of the others is moved while their order stays. */
  private place(rows: readonly Row[], columns: readonly Column[]): void {
    const wanted = new Set(rows.map(({ id }) => id));
    for (const [id, element] of this.rows) if (!wanted.has(id)) { element.remove(); this.rows.delete(id); }
    let next = this.body.firstElementChild;
    for (const { id } of rows) {
      const element = this.rows.get(id) ?? newRow(columns);
      this.rows.set(id, element);
      if (element === next) next = next.nextElementSibling; else this.body.insertBefore(element, next);
    }
  }
}

const newRow = (columns: readonly Column[]): HTMLTableRowElement =>
  el('tr', {}, ...columns.map(({ numeric }, index) => el(index === 0 ? 'th' : 'td', { scope: index === 0 ? 'row' : undefined, class: numeric ? 'numeric' : undefined })));

function fill(cell: HTMLTableCellElement, content: string | CellButton): void {
  if (typeof content === 'string') { setText(cell, content); return; }
  const { text, label, pressed, act } = content;
  let button = cell.querySelector('button');
  if (!button) cell.replaceChildren(button = el('button', { class: 'link' }));
  setText(button, text);
  button.ariaLabel = label;
  button.ariaPressed = pressed === undefined ? null : String(pressed);
  button.onclick = act;
}
