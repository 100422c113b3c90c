import { useEffect, useState } from "react";
import { useOffers, useServices } from "../services";
import { lengthMs } from "../session/session";
import type { Held } from "../session/spool";
import { clock } from "../text/time";
import { Callout } from "./Callout";

/** Recordings that were interrupted, and what can be done about each. */
export function OfferList() {
  const offers = useOffers();
  useFreshOffers();
  if (offers.length === 0) return null;
  return (
    <div className="offers">
      {offers.map((held) => (
        <Offer key={held.key} held={held} />
      ))}
    </div>
  );
}

/** Looked at anew whenever somebody may see them: what another window has taken up meanwhile is not offered here. */
function useFreshOffers(): void {
  const { offers } = useServices();
  useEffect(() => {
    const load = () => void offers.load();
    load();
    window.addEventListener("focus", load);
    document.addEventListener("visibilitychange", load);
    return () => {
      window.removeEventListener("focus", load);
      document.removeEventListener("visibilitychange", load);
    };
  }, [offers]);
}

function Offer({ held }: { held: Held }) {
  const { session, offers } = useServices();
  const [asking, setAsking] = useState(false);
  return (
    <Callout tone="note" code="interrupted">
      <p data-testid="offer">{asking ? whatIsDiscarded(held) : whatIsHeld(held)}</p>
      <div className="callout-actions">
        {asking ? (
          <>
            <button type="button" className="button" autoFocus onClick={() => setAsking(false)}>
              Keep it
            </button>
            <button type="button" className="text-button" onClick={() => void offers.discard(held.key)}>
              Discard for good
            </button>
          </>
        ) : (
          <>
            <button type="button" className="button" onClick={() => void session.resume(held, false)}>
              Finish it
            </button>
            {!held.stopped && (
              <button type="button" className="button" onClick={() => void session.resume(held, true)}>
                Keep recording
              </button>
            )}
            <button type="button" className="text-button" onClick={() => setAsking(true)}>
              Discard
            </button>
          </>
        )}
      </div>
    </Callout>
  );
}

function whatIsHeld(held: Held): string {
  const what = held.stopped ? "A recording was not finished" : "A recording was interrupted";
  return `${what} (${clock(lengthMs(held, held.to))}, ${unsent(held)}).`;
}

/** Whole seconds, as every time on the page. */
function unsent(held: Held): string {
  const ms = unsentMs(held);
  if (held.recordingId === null) return "not yet sent";
  if (ms < 500) return "all of it sent";
  return ms < 59_500 ? `${Math.round(ms / 1000)} s not yet sent` : `${clock(ms)} not yet sent`;
}

function whatIsDiscarded(held: Held): string {
  if (held.recordingId === null) return `${clock(unsentMs(held))} that only this browser has will be gone.`;
  if (unsentMs(held) < 500) return "It ends where it was interrupted. What was said is kept.";
  return `What was not yet sent will be gone. Everything up to ${clock(lengthMs(held, held.keptTo))} is kept.`;
}

function unsentMs(held: Held): number {
  return lengthMs(held, held.to) - lengthMs(held, Math.min(held.keptTo, held.to));
}
