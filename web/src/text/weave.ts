/** Puts timed words back into the text they came from, so that blanks and joins are as the text has them. */

import type { Word } from "../wire";

export interface Woven<W> {
  /** What stands between the word before and this one: a blank, nothing, or stray punctuation. */
  gap: string;
  word: W;
}

/** Each word with the gap before it, and what is left of `text` after the last. */
export function weave<W extends Pick<Word, "text">>(
  text: string,
  words: readonly W[],
): { woven: Woven<W>[]; rest: string } {
  let position = 0;
  const woven = words.map((word, i) => {
    const found = text.indexOf(word.text, position);
    if (found < 0) return { gap: i === 0 ? "" : " ", word };
    const gap = text.slice(position, found);
    position = found + word.text.length;
    return { gap, word };
  });
  return { woven, rest: words.length > 0 ? text.slice(position) : text };
}

/** Index of the word being said at `ms`: the last that has begun, unless it ended over half a second ago; else -1. */
export function wordAt(words: readonly Pick<Word, "start_ms" | "end_ms">[], ms: number): number {
  let low = 0;
  let high = words.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (words[middle]!.start_ms <= ms) low = middle + 1;
    else high = middle;
  }
  const last = words[low - 1];
  return last && ms < last.end_ms + 500 ? low - 1 : -1;
}
