import { useEffect, useState } from "react";
import { Link, useLocation, useSearch } from "wouter";
import type { Hit } from "../api/search";
import { PlayMark } from "../components/icons";
import { Prose } from "../components/Prose";
import { languageName } from "../text/languages";
import { sentence } from "../recordings/library";
import { find, nameOf, shown } from "../recordings/list";
import { excerpt, fromSearch, grouped, toSearch, type Group, type Wanted } from "../search/results";
import { useResults, type Results } from "../search/useResults";
import { useList, useServices } from "../services";
import { count } from "../text/amounts";
import { clock, daysAgo, longDay, shortDate } from "../text/time";

/** What was said, found by its words and by what they mean. */
export function SearchPage() {
  const { asking } = useServices();
  const wanted = fromSearch(useSearch());
  const { results, more, again } = useResults(wanted);
  useEffect(() => {
    document.title = wanted.q ? `${wanted.q} · Parley` : "Search · Parley";
  }, [wanted.q]);

  return (
    <main tabIndex={-1} className="column search-page">
      <h1 className="for-ears">{wanted.q ? `Found for “${wanted.q}”` : "Search"}</h1>
      {wanted.q !== "" && (
        <>
          <Narrowing wanted={wanted} />
          <p className="ask-instead">
            <button
              type="button"
              className="link-button"
              data-testid="ask-this"
              onClick={() => asking.open(wanted.recording || null, wanted.q)}
            >
              Ask this as a question
            </button>
          </p>
        </>
      )}
      <Found results={results} wanted={wanted} onMore={more} onAgain={again} />
    </main>
  );
}

interface FoundProps {
  results: Results;
  wanted: Wanted;
  onMore: () => Promise<void>;
  onAgain: () => void;
}

function Found({ results, wanted, onMore, onAgain }: FoundProps) {
  switch (results.status) {
    case "idle":
      return (
        <div className="state" data-testid="search-idle">
          <p>Write a few words, or what you remember of them. Everything that was said is looked through.</p>
        </div>
      );
    case "loading":
      return <Skeleton />;
    case "failed":
      return (
        <div className="state" role="alert" data-testid="search-failed">
          <p>
            Searching does not work at the moment; your recordings are safe. <Prose text={sentence(results.error)} />
          </p>
          <button type="button" className="button" onClick={onAgain}>
            Try again
          </button>
        </div>
      );
    case "ready":
      if (results.hits.length === 0) return <Nothing wanted={wanted} />;
      return (
        <>
          <p className="for-ears" role="status">
            {count(results.hits.length, "passage")} found
          </p>
          <ol className="found" data-testid="found">
            {grouped(results.hits).map((group) => (
              <Recording key={group.recordingId} group={group} />
            ))}
          </ol>
          {results.nextOffset !== null && <More onMore={onMore} />}
        </>
      );
  }
}

function Nothing({ wanted }: { wanted: Wanted }) {
  const narrowed = wanted.recording || wanted.language || wanted.since || wanted.until;
  return (
    <div className="state" data-testid="nothing-found">
      <p>
        Nothing like “{wanted.q}” was said{narrowed ? " where you looked" : " in your recordings"}.
      </p>
      {narrowed ? (
        <Link href={toSearch({ q: wanted.q })} className="button">
          Look everywhere
        </Link>
      ) : (
        <p className="hint">Other words for it may help. What was said a moment ago takes some seconds to be found.</p>
      )}
    </div>
  );
}

function Recording({ group }: { group: Group }) {
  const known = find(useList(), group.recordingId);
  const name = group.title || (known ? nameOf(known) : `Recording of ${longDay(group.createdAt, new Date())}`);
  return (
    <li className="found-recording" data-testid="found-recording">
      <h2>
        <Link href={`/recordings/${group.recordingId}`}>{name}</Link>
      </h2>
      <p className="recording-meta">
        <time dateTime={group.createdAt}>{longDay(group.createdAt, new Date())}</time>
      </p>
      {group.hits.map((hit) => (
        <Passage key={`${hit.start_ms} ${hit.at_ms}`} hit={hit} name={name} />
      ))}
    </li>
  );
}

function Passage({ hit, name }: { hit: Hit; name: string }) {
  const { playback } = useServices();
  const { segments, before, after } = excerpt(hit);
  const play = (): void =>
    playback.play({ recordingId: hit.recording_id, startMs: hit.at_ms, endMs: null, title: name });
  return (
    <div className="passage book" data-testid="hit">
      <button
        type="button"
        className="passage-time play-from"
        data-testid="play-from"
        data-start={hit.at_ms}
        aria-label={`Play from ${clock(hit.at_ms)}`}
        onClick={play}
      >
        <PlayMark /> {clock(hit.at_ms)}
      </button>
      <p lang={hit.language || undefined}>
        {before && "… "}
        {segments.map((segment, i) => (
          <span key={segment.number}>
            {i > 0 && " "}
            {segment.pieces.map((piece, j) => (piece.match ? <mark key={j}>{piece.text}</mark> : piece.text))}
          </span>
        ))}
        {after && " …"}
      </p>
    </div>
  );
}

/** Where to look: modest, because most look everywhere. */
function Narrowing({ wanted }: { wanted: Wanted }) {
  const [, navigate] = useLocation();
  const recordings = shown(useList());
  const languages = [...new Set(recordings.flatMap(({ language }) => language ?? []))].sort();
  const set = (change: Partial<Wanted>): void => navigate(toSearch({ ...wanted, ...change }), { replace: true });
  return (
    <div className="narrowing" role="group" aria-label="Where to look">
      <select
        aria-label="Recording"
        data-testid="filter-recording"
        value={wanted.recording}
        onChange={({ currentTarget: { value } }) => set({ recording: value })}
      >
        <option value="">All recordings</option>
        {wanted.recording && !recordings.some(({ id }) => id === wanted.recording) && (
          <option value={wanted.recording}>One recording</option>
        )}
        {recordings.map((recording) => (
          <option key={recording.id} value={recording.id}>
            {nameOf(recording).slice(0, 60)}
          </option>
        ))}
      </select>
      {(languages.length > 1 || wanted.language) && (
        <select
          aria-label="Language"
          value={wanted.language}
          onChange={({ currentTarget: { value } }) => set({ language: value })}
        >
          <option value="">Any language</option>
          {[...new Set([...languages, ...(wanted.language ? [wanted.language] : [])])].map((code) => (
            <option key={code} value={code}>
              {languageName(code)}
            </option>
          ))}
        </select>
      )}
      <Since wanted={wanted} onChange={(since) => set({ since, until: "" })} />
    </div>
  );
}

const LATELY: readonly [string, number][] = [
  ["Past week", 7],
  ["Past month", 30],
  ["Past year", 365],
];

/** How far back to look. Other days can stand in the address, and stay until something else is chosen. */
function Since({ wanted: { since, until }, onChange }: { wanted: Wanted; onChange: (since: string) => void }) {
  const choices = LATELY.map(([label, days]) => [label, daysAgo(days, new Date())] as const);
  const other = (since || until) && (until || !choices.some(([, day]) => day === since));
  return (
    <select
      aria-label="When"
      data-testid="filter-when"
      value={other ? "other" : since}
      onChange={({ currentTarget: { value } }) => onChange(value)}
    >
      <option value="">Any time</option>
      {choices.map(([label, day]) => (
        <option key={label} value={day}>
          {label}
        </option>
      ))}
      {other && (
        <option value="other">
          {[since && `from ${shortDate(since)}`, until && `to ${shortDate(until)}`].filter(Boolean).join(" ")}
        </option>
      )}
    </select>
  );
}

function More({ onMore }: { onMore: () => Promise<void> }) {
  const [busy, setBusy] = useState(false);
  return (
    <button
      type="button"
      className="button more"
      disabled={busy}
      onClick={() => {
        setBusy(true);
        void onMore().finally(() => setBusy(false));
      }}
    >
      Show more
    </button>
  );
}

/** Where the passages will stand. */
function Skeleton() {
  return (
    <div className="skeleton" role="status" aria-label="Searching">
      {[42, 96, 88, 57, 38, 94, 71].map((width) => (
        <div key={width} className="skeleton-line" style={{ width: `${width}%` }} />
      ))}
    </div>
  );
}
