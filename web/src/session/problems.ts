/** What can go wrong while recording, each as one plain sentence that says what to do. */

import { clock } from "../text/time";
import type { ServerError } from "../wire";

export interface Problem {
  code: string;
  /** What happened, and what the person can do. */
  message: string;
  /** Seconds after which pressing record again makes sense. */
  retryAfterS: number | null;
}

function problem(code: string, message: string, retryAfterS: number | null = null): Problem {
  return { code, message, retryAfterS };
}

export const INSECURE = problem(
  "insecure_origin",
  "Browsers open the microphone only on secure pages. Open this page over https, or as localhost on this machine.",
);

export const UNSUPPORTED = problem(
  "unsupported_browser",
  "This browser cannot record audio. A current Firefox, Chrome, Edge or Safari can.",
);

export const MICROPHONE_ENDED = problem(
  "microphone_ended",
  "The microphone was disconnected. What was said before is kept.",
);

/** For what `getUserMedia` or the AudioContext threw. */
export function fromMicrophone(error: unknown): Problem {
  const name = error instanceof Error ? error.name : "";
  switch (name) {
    case "NotAllowedError":
    case "SecurityError":
      return problem(
        "microphone_blocked",
        "The microphone is blocked. Allow it in the address bar, then press record again.",
      );
    case "NotFoundError":
    case "OverconstrainedError":
      return problem("microphone_missing", "No microphone was found. Connect one, then press record again.");
    case "NotReadableError":
    case "AbortError":
      return problem(
        "microphone_busy",
        "The microphone is in use elsewhere. Close the other program, then press record again.",
      );
    default: {
      const detail = error instanceof Error && error.message ? ` (${error.message})` : "";
      return problem("microphone_failed", `The microphone could not be opened${detail}. Press record to try again.`);
    }
  }
}

export function fromServer(error: ServerError): Problem {
  return problem(error.code, error.message, error.retry_after_s ?? null);
}

/** `keptMs` is what the server acknowledged; null where the session never began. */
export function connectionLost(keptMs: number | null, capturedMs: number): Problem {
  if (keptMs === null) {
    return problem("unreachable", "The server cannot be reached, so nothing was recorded. Press record to try again.");
  }
  // In whole seconds as the clocks show them, so that the sum is right to the eye.
  const missing = Math.round(capturedMs / 1000) - Math.round(keptMs / 1000);
  const rest = missing >= 1 ? ` The last ${missing === 1 ? "second" : `${missing} seconds`} may be missing.` : "";
  return problem("connection_lost", `The connection was lost. Everything up to ${clock(keptMs)} is kept.${rest}`);
}
