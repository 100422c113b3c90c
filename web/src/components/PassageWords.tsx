import type { TranscriptSegment } from "../api/client";
import { weave } from "../text/weave";

interface Props {
  passage: TranscriptSegment;
  /** Index of its first word among those of all passages that are shown together. */
  first: number;
  testId?: string;
}

/** The text of a passage, each word with its time. */
export function PassageWords({ passage, first, testId }: Props) {
  const { woven, rest } = weave(passage.text, passage.words);
  return (
    <>
      {woven.map(({ gap, word }, i) => (
        <span key={i}>
          {gap}
          <span
            className="word"
            data-testid={testId}
            data-word={first + i}
            data-start={word.start_ms}
            data-end={word.end_ms}
          >
            {word.text}
          </span>
        </span>
      ))}
      {rest}
    </>
  );
}

/** Where the words of each of `passages` begin among those of all of them. */
export function firstWords(passages: readonly TranscriptSegment[]): number[] {
  let first = 0;
  return passages.map(({ words }) => (first += words.length) - words.length);
}

/** A click on a word goes there; a selection of text does not. */
export function startOfWord(target: EventTarget): number | null {
  const word = (target as Element).closest<HTMLElement>("[data-start]");
  return word && window.getSelection()?.isCollapsed !== false ? Number(word.dataset["start"]) : null;
}
