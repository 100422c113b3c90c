import { memo, useEffect, useMemo, useRef, type MouseEvent } from "react";
import type { Transcript } from "../api/client";
import { clock } from "../text/time";
import { weave, wordAt } from "../text/weave";
import { SuspectMark } from "./LiveText";
import type { Player } from "./usePlayer";

/** After the reader scrolled, the text stays where it is for this long. */
const HANDS_OFF_MS = 4_000;

interface Props {
  transcript: Transcript;
  onFrame: Player["onFrame"];
  onSeek: (ms: number) => void;
}

/** The transcript, set like a book. The word being said lights up; a click on a word goes there. */
export const TranscriptView = memo(function TranscriptView({ transcript, onFrame, onSeek }: Props) {
  const book = useRef<HTMLDivElement>(null);
  const passages = useMemo(
    () => transcript.segments.filter(({ text }) => text !== "").sort((a, b) => a.start_ms - b.start_ms),
    [transcript],
  );
  const words = useMemo(() => passages.flatMap((passage) => passage.words), [passages]);

  useEffect(() => {
    let lit: Element | null = null;
    let scrolledAt = -Infinity;
    const onWheel = (): void => {
      scrolledAt = performance.now();
    };
    window.addEventListener("wheel", onWheel, { passive: true });
    window.addEventListener("touchmove", onWheel, { passive: true });
    const stop = onFrame((ms, playing) => {
      const index = playing || ms > 0 ? wordAt(words, ms) : -1;
      const word = index < 0 ? null : (book.current?.querySelector(`[data-word="${index}"]`) ?? null);
      if (word === lit) return;
      lit?.classList.remove("spoken");
      word?.classList.add("spoken");
      lit = word;
      if (word && playing && performance.now() - scrolledAt > HANDS_OFF_MS) bringIntoView(word);
    });
    return () => {
      lit?.classList.remove("spoken");
      stop();
      window.removeEventListener("wheel", onWheel);
      window.removeEventListener("touchmove", onWheel);
    };
  }, [onFrame, words]);

  const onClick = (event: MouseEvent): void => {
    const word = (event.target as Element).closest<HTMLElement>("[data-start]");
    if (word && window.getSelection()?.isCollapsed !== false) onSeek(Number(word.dataset["start"]));
  };
  let index = 0;
  return (
    <div ref={book} className="book transcript" data-testid="transcript" onClick={onClick}>
      {passages.map((passage) => {
        const { woven, rest } = weave(passage.text, passage.words);
        return (
          <div key={passage.segment} className="passage">
            <button
              type="button"
              className="passage-time"
              data-start={passage.start_ms}
              aria-label={`Go to ${clock(passage.start_ms)}`}
            >
              {clock(passage.start_ms)}
            </button>
            <p data-suspect={passage.suspect} lang={passage.language || undefined}>
              {woven.map(({ gap, word }) => (
                <span key={index}>
                  {gap}
                  <span
                    className="word"
                    data-testid="word"
                    data-word={index++}
                    data-start={word.start_ms}
                    data-end={word.end_ms}
                  >
                    {word.text}
                  </span>
                </span>
              ))}
              {rest}
              {passage.suspect && <SuspectMark />}
            </p>
          </div>
        );
      })}
    </div>
  );
});

function bringIntoView(word: Element): void {
  const { top, bottom } = word.getBoundingClientRect();
  if (top < 96 || bottom > window.innerHeight - 176) window.scrollBy({ top: top - window.innerHeight * 0.4 });
}
