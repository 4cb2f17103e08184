// Suggest: the known word that somebody may have meant. Not what is done about it.

/** The known word nearest to a misspelt one, if one is near: at most two edits away. */
export function suggest(word: string, known: readonly string[]): string | undefined {
  const near = known.map((k) => [edits(word.slice(0, 32), k), k] as const).sort((a, b) => a[0] - b[0])[0];
  return near !== undefined && near[0] <= 2 && near[0] < near[1].length ? near[1] : undefined;
}

/** Levenshtein's distance. */
function edits(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const same = a[i - 1] === b[j - 1] ? 0 : 1;
      next.push(Math.min((row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1, (row[j - 1] ?? 0) + same));
    }
    row = next;
  }
  return row[b.length] ?? 0;
}
