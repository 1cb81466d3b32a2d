// CSV (RFC 4180): read and written.

/** Returns the rows of a text, each with its cells; the separator is that of the first line. */
export function parse(text: string): string[][] {
  const source = text.replace(/^\uFEFF/, "");
  const head = source.slice(0, (source + "\n").indexOf("\n"));
  const separator = [",", ";", "\t"].sort((a, b) => head.split(b).length - head.split(a).length)[0]!;
  const rows: string[][] = [];
  let [row, cell, quoted] = [[] as string[], "", false];
  const endRow = () => {
    row.push(cell);
    if (row.length > 1 || cell !== "") rows.push(row);
    [row, cell] = [[], ""];
  };
  for (let i = 0; i < source.length; i++) {
    const c = source[i]!;
    if (quoted) {
      if (c !== '"') cell += c;
      else if (source[i + 1] === '"') cell += source[++i];
      else quoted = false;
    } else if (c === '"' && cell === "") quoted = true;
    else if (c === separator) {
      row.push(cell);
      cell = "";
    } else if (c === "\n") endRow();
    else if (c !== "\r" || source[i + 1] !== "\n") cell += c;
  }
  endRow();
  return rows;
}

/** Returns rows as a text. A cell that a spreadsheet would take for a formula gets an apostrophe. */
export const write = (rows: unknown[][]): string =>
  rows.map((row) => row.map((value) => quote(harmless(value))).join(",") + "\r\n").join("");

function harmless(value: unknown): string {
  const text = String(value ?? "");
  return /^[=+\-@\t\r]/.test(text) && !/^[-+]?[\d.]+(e[-+]?\d+)?$/i.test(text) ? `'${text}` : text;
}

const quote = (text: string): string => (/[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);
