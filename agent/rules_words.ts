// Rules words: one line of a policy file as words: blanks between them, quotes around what has blanks, a comment after #.
// Not what they mean (rules.ts).

export interface Word {
  text: string;
  /** Whether any of it stood in quotes: then it is no keyword and no mark. */
  isQuoted: boolean;
  /** As it stands in the file. */
  source: string;
}

/** The words of a line. Throws an error that says what is wrong with it. */
export function wordsOf(line: string): Word[] {
  const words: Word[] = [];
  for (let at = 0; at < line.length;) {
    const c = line[at] as string;
    if (c === " " || c === "\t") at++;
    else if (c === "#") break;
    else {
      const word = wordAt(line, at);
      words.push(word);
      at += word.source.length;
    }
  }
  return words;
}

function wordAt(line: string, begin: number): Word {
  let text = "", isQuoted = false, inQuotes = false, at = begin;
  for (; at < line.length; at++) {
    const c = line[at] as string;
    if (c === '"') {
      inQuotes = !inQuotes;
      isQuoted = true;
    } else if (c === "\\") {
      const next = line[++at];
      if (next !== '"' && next !== "\\") {
        throw new Error('a backslash stands before " or another, and nowhere else');
      }
      text += next;
    } else if (!inQuotes && (c === " " || c === "\t")) break;
    else text += c;
  }
  if (inQuotes) throw new Error("has a quote that does not end");
  return { text, isQuoted, source: line.slice(begin, at) };
}
