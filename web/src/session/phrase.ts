/** The state of the session in a few words: the one line at the end of the dock. */

import type { SessionState } from "./state";

/** Text that is this far behind the voice is worth a word. */
const LAG_SHOWN_MS = 2_000;
/** The server acknowledges every few seconds; this much without it means that the connection is slow. */
const UNSAFE_SHOWN_MS = 15_000;

export function phrase({
  phase,
  lagMs,
  capturedMs,
  keptMs,
}: Pick<SessionState, "phase" | "lagMs" | "capturedMs" | "keptMs">): string {
  const unsafeMs = capturedMs - keptMs;
  switch (phase) {
    case "idle":
      return "Ready";
    case "asking":
      return "Asking for the microphone";
    case "connecting":
      return "Connecting";
    case "live":
      if (unsafeMs >= UNSAFE_SHOWN_MS) return `Live, ${Math.floor(unsafeMs / 1000)} s not yet safe`;
      return lagMs >= LAG_SHOWN_MS ? `Live, ${(lagMs / 1000).toFixed(1)} s behind` : "Live";
    case "finishing":
      return "Finishing";
    case "closed":
      return "Kept";
    case "lost":
      return "Connection lost";
    case "failed":
      return "Not recording";
  }
}
