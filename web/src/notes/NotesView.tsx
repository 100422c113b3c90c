import { memo, useMemo, type ReactNode } from "react";
import type { Transcript } from "../api/client";
import type { ActionItem, Chapter, Notes, Point } from "../api/notes";
import type { Player } from "../components/usePlayer";
import { clock, shortDate } from "../text/time";
import { SourceChips, SourceQuote } from "./SourceChips";
import { sourcesOf, type Source } from "./sources";

interface Props {
  notes: Notes;
  transcript: Transcript;
  player: Player;
  /** What is played for the notes, and shown below the item that rests on it. */
  open: Source | null;
  onPlay: (source: Source | null) => void;
  /** Plays from there on, in the transcript. */
  onGo: (ms: number) => void;
  language: string | undefined;
}

/** What was said, in short: every item with what it rests on. */
export function NotesView({ notes, transcript, player, open, onPlay, onGo, language }: Props) {
  const sourcesIn = useSources(notes, transcript);
  const shared = { sourcesIn, player, open, onPlay, onGo };
  return (
    <div className="book notes-book" lang={language} data-testid="notes">
      <Part title="In short" items={notes.summary} {...shared} as="p" />
      <Part title="Key points" items={notes.key_points} {...shared} />
      <Part title="Decisions" items={notes.decisions} {...shared} />
      <Part
        title={notes.method === "extractive" ? "To do?" : "To do"}
        items={notes.action_items}
        {...shared}
        more={(item) => <Duty item={item} />}
      />
      <Chapters chapters={notes.chapters} onGo={onGo} />
      <Part title="Diary" items={notes.diary} {...shared} as="p" />
    </div>
  );
}

interface PartProps<P extends Point> extends Pick<Props, "player" | "open" | "onPlay" | "onGo"> {
  title: string;
  items: readonly P[];
  sourcesIn: ReadonlyMap<Point, Source[]>;
  as?: "p" | "li";
  more?: (item: P) => ReactNode;
}

function Part<P extends Point>({ title, items, sourcesIn, as = "li", more, ...rest }: PartProps<P>) {
  if (items.length === 0) return null;
  const List = as === "li" ? "ul" : "div";
  const Item = as === "li" ? "li" : "div";
  return (
    <section className="part" data-part={title} data-testid="part">
      <h3>{title}</h3>
      <List>
        {items.map((item, i) => (
          <Item key={i} className="note-item" data-testid="note-item">
            <NoteText text={item.text} />
            {more?.(item)} <Sources sources={sourcesIn.get(item) ?? []} {...rest} />
          </Item>
        ))}
      </List>
    </section>
  );
}

const NoteText = memo(function NoteText({ text }: { text: string }) {
  return <span>{text}</span>;
});

function Sources({
  sources,
  player,
  open,
  onPlay,
  onGo,
}: Pick<Props, "player" | "open" | "onPlay" | "onGo"> & { sources: Source[] }) {
  const shown = sources.find((source) => source === open);
  return (
    <>
      <SourceChips sources={sources} open={open} onPlay={(source) => onPlay(source === open ? null : source)} />
      {shown && <SourceQuote source={shown} player={player} onShow={() => onGo(shown.startMs)} />}
    </>
  );
}

/** Who is to do it, and until when. */
function Duty({ item }: { item: ActionItem }) {
  if (!item.owner && !item.due) return null;
  return (
    <span className="duty">
      {item.owner}
      {item.owner && item.due && ", "}
      {item.due && (
        <>
          by <time dateTime={item.due}>{shortDate(item.due)}</time>
        </>
      )}
    </span>
  );
}

function Chapters({ chapters, onGo }: { chapters: readonly Chapter[]; onGo: (ms: number) => void }) {
  if (chapters.length === 0) return null;
  return (
    <section className="part" data-part="Chapters" data-testid="part">
      <h3>Chapters</h3>
      <ol className="chapters">
        {chapters.map((chapter) => (
          <li key={chapter.start_ms}>
            <button type="button" data-testid="chapter" onClick={() => onGo(chapter.start_ms)}>
              <span>{chapter.title}</span>
              <span className="tabular">{clock(chapter.start_ms)}</span>
            </button>
          </li>
        ))}
      </ol>
    </section>
  );
}

/** The same objects for as long as notes and transcript are the same: an open source is known by its identity. */
function useSources(notes: Notes, transcript: Transcript): ReadonlyMap<Point, Source[]> {
  return useMemo(() => {
    const items: Point[] = [notes.summary, notes.key_points, notes.decisions, notes.action_items, notes.diary].flat();
    return new Map(items.map((item) => [item, sourcesOf(item.segments, transcript.segments)]));
  }, [notes, transcript]);
}
