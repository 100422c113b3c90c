import { useMemo, useRef, useState, type MouseEvent } from "react";
import { firstWords, PassageWords, startOfWord } from "../components/PassageWords";
import { PlayMark } from "../components/icons";
import type { Player } from "../components/usePlayer";
import { useSpoken } from "../components/useSpoken";
import { clock } from "../text/time";
import type { Source } from "./sources";

/** So many stand behind an item; the others are shown when they are asked for. */
const SHOWN = 4;

interface Props {
  sources: readonly Source[];
  /** The one whose words are shown. */
  open: Source | null;
  onPlay: (source: Source) => void;
}

/** What an item rests on, each stretch as a small button that plays it. */
export function SourceChips({ sources, open, onPlay }: Props) {
  const [all, setAll] = useState(false);
  const shown = all ? sources : sources.slice(0, SHOWN);
  return (
    <span className="chips">
      {shown.map((source) => (
        <button
          key={source.startMs}
          type="button"
          className="chip"
          data-testid="chip"
          data-start={source.startMs}
          data-end={source.endMs}
          aria-expanded={source === open}
          aria-label={`Play what this rests on, at ${clock(source.startMs)}`}
          onClick={() => onPlay(source)}
        >
          <PlayMark />
          {clock(source.startMs)}
        </button>
      ))}
      {shown.length < sources.length && (
        <button type="button" className="chip more-chips" onClick={() => setAll(true)}>
          {sources.length - shown.length} more
        </button>
      )}
    </span>
  );
}

interface QuoteProps {
  source: Source;
  player: Player;
  onShow: () => void;
}

/** The words of a source, below the item that rests on it, lit as they are said. */
export function SourceQuote({ source, player, onShow }: QuoteProps) {
  const quote = useRef<HTMLQuoteElement>(null);
  const words = useMemo(() => source.segments.flatMap((segment) => segment.words), [source]);
  const firsts = useMemo(() => firstWords(source.segments), [source]);
  useSpoken(quote, words, player.onFrame, false);

  const onClick = ({ target }: MouseEvent): void => {
    const ms = startOfWord(target);
    if (ms !== null) player.seek(ms);
  };
  return (
    <blockquote ref={quote} className="quote" data-testid="quote" onClick={onClick}>
      <p>
        {source.segments.map((segment, i) => (
          <span key={segment.segment} lang={segment.language || undefined}>
            {i > 0 && " "}
            <PassageWords passage={segment} first={firsts[i]!} />
          </span>
        ))}
      </p>
      <button type="button" className="link-button" onClick={onShow}>
        Show in the transcript
      </button>
    </blockquote>
  );
}
