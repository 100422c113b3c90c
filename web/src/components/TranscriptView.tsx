import { memo, useMemo, useRef, type MouseEvent } from "react";
import type { Transcript } from "../api/client";
import { clock } from "../text/time";
import { SuspectMark } from "./LiveText";
import { firstWords, PassageWords, startOfWord } from "./PassageWords";
import type { Player } from "./usePlayer";
import { useSpoken } from "./useSpoken";

interface Props {
  transcript: Transcript;
  onFrame: Player["onFrame"];
  onSeek: (ms: number) => void;
  /** Numbers of the segments that something else on the page rests on, and points to. */
  cited: ReadonlySet<number>;
  /** The page scrolls along with what is said. */
  follows: boolean;
}

/** The transcript, set like a book. The word being said lights up; a click on a word goes there. */
export const TranscriptView = memo(function TranscriptView({ transcript, onFrame, onSeek, cited, follows }: Props) {
  const book = useRef<HTMLDivElement>(null);
  const passages = useMemo(
    () => transcript.segments.filter(({ text }) => text !== "").sort((a, b) => a.start_ms - b.start_ms),
    [transcript],
  );
  const words = useMemo(() => passages.flatMap((passage) => passage.words), [passages]);
  const firsts = useMemo(() => firstWords(passages), [passages]);
  useSpoken(book, words, onFrame, follows);

  const onClick = ({ target }: MouseEvent): void => {
    const ms = startOfWord(target);
    if (ms !== null) onSeek(ms);
  };
  return (
    <div ref={book} className="book transcript" data-testid="transcript" onClick={onClick}>
      {passages.map((passage, i) => (
        <div key={passage.segment} className="passage" data-cited={cited.has(passage.segment)}>
          <button
            type="button"
            className="passage-time"
            data-start={passage.start_ms}
            aria-label={`Go to ${clock(passage.start_ms)}`}
          >
            {clock(passage.start_ms)}
          </button>
          <p data-segment={passage.segment} data-suspect={passage.suspect} lang={passage.language || undefined}>
            <PassageWords passage={passage} first={firsts[i]!} testId="word" />
            {passage.suspect && <SuspectMark />}
          </p>
        </div>
      ))}
    </div>
  );
});
