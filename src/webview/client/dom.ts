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
