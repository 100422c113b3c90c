/** What can go wrong while recording, each as one plain sentence that says what to do. */

import { clock } from "../text/time";
import type { ServerError } from "../wire";

/** What shows that a passing trouble is over: the connection, an acknowledgement that moves on, words. */
export type Cure = "ready" | "ack" | "words";

export interface Problem {
  code: string;
  /** What happened, and what the person can do. */
  message: string;
  /** Seconds after which pressing record again makes sense. */
  retryAfterS: number | null;
  /** What takes the message away again; null where it stays until it is closed. Nothing is lost meanwhile. */
  cure: Cure | null;
}

/** Worth knowing, but nothing went wrong with the recording. */
export function isCalm({ code, cure }: Problem): boolean {
  return cure !== null || [ELSEWHERE, FINISHED_ELSEWHERE, NOT_SPOOLED].some((calm) => calm.code === code);
}

function problem(code: string, message: string, more: Partial<Problem> = {}): Problem {
  return { code, message, retryAfterS: null, cure: null, ...more };
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

export const OTHER_RATE = problem(
  "other_sample_rate",
  "This microphone records in another way than the one before, so the recording cannot go on with it. You can finish it.",
);

export const ELSEWHERE = problem("superseded", "This recording goes on in another window.");

export const FINISHED_ELSEWHERE = problem("finished_elsewhere", "This recording was finished in another window.");

export const NOT_SPOOLED = problem(
  "not_spooled",
  "This browser has no room to keep a copy of what is not yet sent. Recording goes on; leave this page open until it is finished.",
);

export const NOT_READABLE = problem(
  "not_readable",
  "This browser cannot read back what it holds at the moment, and tries again. Nothing is left out; if this stays, reload the page.",
  { cure: "ack" },
);

export const UNREADABLE = problem(
  "unreadable",
  "This browser cannot read what it holds of this recording at the moment. Reload the page and try again.",
);

export const MEMORY_FULL = problem(
  "memory_full",
  "Recording has ended here, because this browser can hold no more. What it holds is sent when the connection is back; leave this page open until then.",
);

export function audioMissing(ms: number): Problem {
  return problem(
    "audio_missing",
    `${inSeconds(ms)} of this recording could not be held and ${ms < 1500 ? "is" : "are"} missing.`,
  );
}

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

/** What the server said while the session goes on, or before it is tried again; null where it is worth no words. */
export function fromServer(error: ServerError): Problem | null {
  switch (error.code) {
    case "going_away":
    case "no_audio":
    case "client_stalled":
    case "start_timeout":
      return null;
    case "at_capacity":
      return problem(
        error.code,
        "The server is full at the moment. What you say is held here and sent as soon as there is room.",
        { cure: "ready" },
      );
    case "engine_unavailable":
      return problem(error.code, "The recogniser is not answering. What you say is kept; its words come later.", {
        cure: "words",
      });
    case "database_unavailable":
    case "storage_unavailable":
      return problem(
        error.code,
        "The server cannot store anything at the moment. What you say is held here until it can.",
        {
          cure: "ack",
        },
      );
    case "no_words":
      return problem(error.code, error.message, { cure: "words" });
    default:
      return problem(error.code, error.message, { retryAfterS: error.retry_after_s ?? null });
  }
}

/** How much of the recording is where, in milliseconds. */
interface Whereabouts {
  keptMs: number;
  heldMs: number;
  /** What is held outlives this page. */
  spooled: boolean;
}

/** Why the session cannot go on. `begun`: the server has a recording of it. */
export function ended(error: ServerError | null, begun: boolean, { keptMs, heldMs, spooled }: Whereabouts): Problem {
  if (error?.code === "superseded") return ELSEWHERE;
  const why = error === null ? "The connection was lost." : (ENDINGS[error.code] ?? error.message);
  const kept = begun ? ` Everything up to ${clock(keptMs)} is kept.` : "";
  const code = error?.code ?? "connection_lost";
  return problem(code, why + kept + rest(heldMs, spooled), { retryAfterS: error?.retry_after_s ?? null });
}

/** The server closed the recording, but without all of its audio. */
export function cutShort(error: ServerError | null, { keptMs, heldMs, spooled }: Whereabouts): Problem {
  const why = error?.message ?? "The server closed this recording before it had all of it.";
  return problem("cut_short", `${why} Everything up to ${clock(keptMs)} is kept.${rest(heldMs, spooled)}`);
}

const ENDINGS: Readonly<Record<string, string>> = {
  resume_expired: "This recording was away for too long to go on with it.",
  resume_invalid: "The server no longer knows this recording, so it cannot go on with it.",
  resume_unsupported: "The server cannot go on with a recording.",
};

function rest(heldMs: number, spooled: boolean): string {
  if (heldMs < 1000) return "";
  const last = heldMs < 1500 ? "The last second" : `The last ${inSeconds(heldMs)}`;
  const verb = heldMs < 1500 ? ["is", "was"] : ["are", "were"];
  return spooled ? ` ${last} ${verb[0]} still held here.` : ` ${last} ${verb[1]} not sent.`;
}

/** "1 second", "12 seconds". */
function inSeconds(ms: number): string {
  const seconds = Math.max(1, Math.round(ms / 1000));
  return seconds === 1 ? "1 second" : `${seconds} seconds`;
}
