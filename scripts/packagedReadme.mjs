/** The README as it is shipped with the extension. Its page there has no other files to open: links to them keep their words only; pictures, which are shipped, stay. */
export const packagedReadme = (text) => text.replace(/(?<!!)\[([^\]]+)\]\((?!https?:|#)[^)\s]+\)/g, '$1');
