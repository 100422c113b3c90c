/** The state of the session in a few words: the one line at the end of the dock. */

import { clock } from "../text/time";
import { heldMs, type SessionState } from "./state";

/** Text that is this far behind the voice is worth a word. */
const LAG_SHOWN_MS = 2_000;
/** The server acknowledges every few seconds; this much without it means that the connection is slow. */
const UNSAFE_SHOWN_MS = 15_000;

export function phrase(state: SessionState): string {
  switch (state.phase) {
    case "idle":
      return "Ready";
    case "asking":
      return "Asking for the microphone";
    case "connecting":
      return state.away ? "Connecting, nothing is lost" : "Connecting";
    case "live":
      return live(state);
    case "reconnecting":
      return "Reconnecting, nothing is lost";
    case "finishing":
      return state.away ? "Waiting to finish" : "Finishing";
    case "closed":
      return "Kept";
    case "lost":
      return state.problem?.code === "superseded" ? "Goes on elsewhere" : "Not recording";
    case "failed":
      return "Not recording";
  }
}

/** What only this device has, while there is no connection: "12 s held", from a minute on "1:05 held". */
export function heldPhrase(state: Pick<SessionState, "capturedMs" | "keptMs">): string {
  const ms = heldMs(state);
  return ms < 59_500 ? `${Math.round(ms / 1000)} s held` : `${clock(ms)} held`;
}

function live(state: SessionState): string {
  const unsafeMs = heldMs(state);
  // After a reconnection there is much to catch up on, which takes a moment and is no cause for concern.
  const settled = state.capturedMs - state.capturedAtReadyMs >= UNSAFE_SHOWN_MS;
  if (unsafeMs >= UNSAFE_SHOWN_MS && settled) return `Live, ${Math.floor(unsafeMs / 1000)} s not yet safe`;
  return state.lagMs >= LAG_SHOWN_MS ? `Live, ${(state.lagMs / 1000).toFixed(1)} s behind` : "Live";
}
