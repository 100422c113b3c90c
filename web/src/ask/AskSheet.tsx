import { useEffect, useRef, useState, type RefObject } from "react";
import { Link } from "wouter";
import type { Answer, Citation, Claim, Stage } from "../api/ask";
import { CloseIcon, PlayMark } from "../components/icons";
import { Prose } from "../components/Prose";
import { find, nameOf } from "../recordings/list";
import { toSearch } from "../search/results";
import { useAsking, useList, useServices } from "../services";
import { clock, longDay } from "../text/time";
import { isOver, type Turn } from "./state";

const STAGES: Readonly<Record<Stage, string>> = {
  searching: "Looking for it",
  thinking: "Reading what was found",
  extracting: "Choosing what answers it",
};
/** A quote's times are reckoned, not measured: its last word is not cut off. */
const LEAD_OUT_MS = 500;

/** Questions about what was said, beside whatever else is on the page. `here`: the recording the page is about. */
export function AskSheet({ here }: { here: string | null }) {
  const { asking } = useServices();
  const { open, scope, turns } = useAsking();
  const field = useRef<HTMLInputElement>(null);
  const end = useRef<HTMLDivElement>(null);
  useEffect(() => {
    if (open) field.current?.focus({ preventScroll: true });
  }, [open, scope]);
  useEffect(() => {
    if (open) end.current?.scrollIntoView({ block: "nearest" });
  }, [open, turns]);
  if (!open) return null;
  return (
    <aside
      className="ask-sheet"
      aria-label="Ask"
      data-testid="ask-sheet"
      onKeyDown={(event) => {
        if (event.key !== "Escape") return;
        event.stopPropagation();
        asking.close();
      }}
    >
      <header>
        <h2>Ask</h2>
        <Scope scope={scope} here={here} />
        <button type="button" className="quiet-button" aria-label="Close" onClick={() => asking.close()}>
          <CloseIcon />
        </button>
      </header>
      <div className="ask-turns" aria-live="polite">
        {turns.length === 0 && (
          <p className="ask-hint">Every answer plays the second it comes from. What nobody said is not answered.</p>
        )}
        {turns.map((turn) => (
          <Exchange key={turn.id} turn={turn} scope={scope} />
        ))}
        <div ref={end} />
      </div>
      <Ask field={field} following={turns.length > 0} />
    </aside>
  );
}

function Scope({ scope, here }: { scope: string | null; here: string | null }) {
  const { asking } = useServices();
  const list = useList();
  const one = scope ?? here;
  if (one === null) return <span className="ask-scope">about all recordings</span>;
  const known = find(list, one);
  return (
    <select
      aria-label="About"
      value={scope ?? ""}
      onChange={({ currentTarget: { value } }) => asking.about(value || null)}
    >
      <option value={one}>about {known?.title ? `“${known.title.slice(0, 40)}”` : "this recording"}</option>
      <option value="">about all recordings</option>
    </select>
  );
}

function Ask({ field, following }: { field: RefObject<HTMLInputElement | null>; following: boolean }) {
  const { asking } = useServices();
  const [text, setText] = useState("");
  return (
    <form
      className="field-row"
      onSubmit={(event) => {
        event.preventDefault();
        if (text.trim() === "") return;
        void asking.ask(text);
        setText("");
      }}
    >
      <input
        ref={field}
        className="field"
        aria-label="Your question"
        data-testid="ask-field"
        placeholder={following ? "Ask on" : "What do you want to know?"}
        autoComplete="off"
        maxLength={1000}
        value={text}
        onChange={({ currentTarget: { value } }) => setText(value)}
      />
      <button type="submit" className="button" disabled={text.trim() === ""}>
        Ask
      </button>
    </form>
  );
}

function Exchange({ turn, scope }: { turn: Turn; scope: string | null }) {
  const { asking } = useServices();
  const { answer, claims, error } = turn;
  return (
    <article className="exchange" data-testid="exchange" data-over={isOver(turn)}>
      <h3>{turn.question}</h3>
      {answer?.notice && (
        <p className="ask-note">
          <Prose text={answer.notice} />
        </p>
      )}
      {answer?.answered && answer.method === "extract" && (
        <p className="ask-note" data-testid="extract-note">
          Word for word from your recordings; no language model.
        </p>
      )}
      {claims.map((claim, i) => (
        <ClaimView key={i} claim={claim} scope={scope} extract={answer?.method === "extract"} />
      ))}
      {answer && !answer.answered && <Refusal answer={answer} question={turn.question} scope={scope} />}
      {answer?.answered && answer.method === "llm" && (
        <p className="ask-note">
          Written by a language model ({[answer.provider, answer.model].filter(Boolean).join(", ")}).
        </p>
      )}
      {error && (
        <p className="problem" role="alert" data-testid="ask-failed">
          <Prose text={error} />{" "}
          <button type="button" className="link-button" onClick={() => void asking.ask(turn.question)}>
            Ask again
          </button>
        </p>
      )}
      {!isOver(turn) && <Waiting turn={turn} />}
    </article>
  );
}

function Waiting({ turn }: { turn: Turn }) {
  return (
    <div className="skeleton" role="status">
      <p className="ask-note">
        {STAGES[turn.stage]}
        {turn.searchedFor && `: “${turn.searchedFor}”`}
      </p>
      <div className="skeleton-line" style={{ width: "92%" }} />
      <div className="skeleton-line" />
    </div>
  );
}

/** Honest, with the one thing that may still help. */
function Refusal({ answer, question, scope }: { answer: Answer; question: string; scope: string | null }) {
  return (
    <p className="refusal" data-testid="refusal">
      {answer.text}{" "}
      <Link href={toSearch({ q: question, ...(scope && { recording: scope }) })}>Search for its words</Link>
    </p>
  );
}

function ClaimView({ claim, scope, extract }: { claim: Claim; scope: string | null; extract: boolean }) {
  const [shown, setShown] = useState<Citation | null>(null);
  return (
    <div className="claim" data-testid="claim">
      <p className={extract ? "extract" : undefined}>
        {extract ? `“${claim.text}”` : claim.text}{" "}
        <span className="chips">
          {claim.citations.map((citation, i) => (
            <CitationChip key={i} citation={citation} open={citation === shown} onOpen={setShown} />
          ))}
        </span>
      </p>
      {shown && !extract && <blockquote className="quote">“{shown.quote}”</blockquote>}
      {scope === null && <Whence citations={claim.citations} />}
    </div>
  );
}

interface ChipProps {
  citation: Citation;
  open: boolean;
  onOpen: (citation: Citation) => void;
}

function CitationChip({ citation, open, onOpen }: ChipProps) {
  const { playback } = useServices();
  const name = useNameOf(citation);
  const { recording_id: recordingId, start_ms: startMs, end_ms: endMs } = citation;
  return (
    <button
      type="button"
      className="chip"
      data-testid="citation"
      data-start={startMs}
      data-recording={recordingId}
      aria-expanded={open}
      aria-label={`Play “${name}” at ${clock(startMs)}`}
      onClick={() => {
        onOpen(citation);
        playback.play({ recordingId, startMs, endMs: endMs + LEAD_OUT_MS, title: name });
      }}
    >
      <PlayMark />
      {clock(startMs)}
    </button>
  );
}

/** Which recordings a claim rests on, each once. */
function Whence({ citations }: { citations: readonly Citation[] }) {
  const recordings = [...new Map(citations.map((citation) => [citation.recording_id, citation])).values()];
  return (
    <p className="whence">
      {recordings.map((citation, i) => (
        <span key={citation.recording_id}>
          {i > 0 && " · "}
          <RecordingLink citation={citation} />
        </span>
      ))}
    </p>
  );
}

function RecordingLink({ citation }: { citation: Citation }) {
  return <Link href={`/recordings/${citation.recording_id}`}>{useNameOf(citation)}</Link>;
}

function useNameOf({ recording_id, title, created_at }: Citation): string {
  const known = find(useList(), recording_id);
  return title || (known ? nameOf(known) : `Recording of ${longDay(created_at, new Date())}`);
}
