/** What a table shows. */
/** Column headings; right-aligned where numeric. */
export interface Column { readonly title: string; readonly numeric?: boolean }
/** A button in a cell: what it shows, its name for screen readers, and what it does. */
export interface CellButton { readonly text: string; readonly label: string; readonly pressed?: boolean; readonly act: () => void }
/** `id` tells a row from the others, also when its cells change. */
export interface Row { readonly id: string | number; readonly cells: readonly (string | CellButton)[] }
