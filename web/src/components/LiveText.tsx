import { memo, useEffect, useRef } from "react";
import type { LiveSegment, OpenSegment, SessionState } from "../session/state";
import { isActive } from "../session/state";
import { clock } from "../text/time";
import { units } from "../text/units";
import { useFollow } from "./useFollow";

/** What is being said, as it becomes certain. */
export function LiveText({ state }: { state: SessionState }) {
  const active = isActive(state.phase);
  const end = useRef<HTMLDivElement>(null);
  const segments = state.segments.filter((segment) => (segment.kind === "open" ? active : segment.text !== ""));
  useFollow(end, active, state.segments);

  return (
    <section className="book live-text" data-testid="live-text" aria-label="Live text">
      {segments.length === 0 && active && <Invitation state={state} />}
      {segments.map((segment) => (
        <Paragraph key={segment.segment} segment={segment} />
      ))}
      <div ref={end} />
      <LastFinal segments={state.segments} />
    </section>
  );
}

function Invitation({ state: { phase, away } }: { state: SessionState }) {
  const text =
    phase === "asking"
      ? "Allow the microphone, then speak."
      : phase === "finishing"
        ? ""
        : away
          ? "Speak. Your words appear here when the connection is back."
          : "Speak. Your words appear here.";
  return <p className="invitation">{text}</p>;
}

/** Open and final are one element, so that what was already settled stays as it is when the final comes. */
const Paragraph = memo(function Paragraph({ segment }: { segment: LiveSegment }) {
  const final = segment.kind === "final";
  return (
    <div className="passage">
      <span className="passage-time">{clock(segment.start_ms)}</span>
      <p
        data-testid={final ? "final" : undefined}
        data-segment={segment.segment}
        data-suspect={final ? segment.suspect : undefined}
        lang={(final && segment.language) || undefined}
      >
        <span className="committed" data-testid={final ? undefined : "committed"}>
          <Words text={final ? segment.text : segment.committed} />
        </span>
        {final ? segment.suspect && <SuspectMark /> : <Tail open={segment} />}
      </p>
    </div>
  );
});

function Tail({ open }: { open: OpenSegment }) {
  return (
    <>
      {open.committed && open.tentative && !/^\p{P}/u.test(open.tentative) ? " " : ""}
      <span className="tentative" data-testid="tentative">
        <Words text={open.tentative} />
      </span>
      <span className="caret" aria-hidden="true" />
    </>
  );
}

export function SuspectMark() {
  return (
    <span className="suspect-mark" title="The recogniser was unsure here. Listen before you rely on it.">
      {" "}
      may be misheard
    </span>
  );
}

/** Each word stands on its own, so that it can settle from slanted grey to ink without its neighbours moving. */
function Words({ text }: { text: string }) {
  return units(text).map((unit, i) => (
    <span key={i}>
      {unit.spaced && " "}
      <span className={unit.upright ? "unit upright" : "unit"}>{unit.text}</span>
    </span>
  ));
}

/** For ears: each final once, when it is certain. Reading out partials would be noise. */
function LastFinal({ segments }: { segments: readonly LiveSegment[] }) {
  const last = segments.findLast((segment) => segment.kind === "final");
  const place = useRef<HTMLParagraphElement>(null);
  const text = last?.kind === "final" ? last.text : "";
  useEffect(() => {
    if (place.current) place.current.textContent = text;
  }, [text]);
  return <p ref={place} className="for-ears" aria-live="polite" />;
}
