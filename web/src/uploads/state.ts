/** Files on their way to the server, as a pure function of what happened to them. */

export type UploadPhase =
  /** Its turn has not come. */
  | "waiting"
  | "sending"
  | "paused"
  /** The connection or the server is away; it goes on by itself. */
  | "away"
  /** It will never be taken as it is. */
  | "refused";

export interface FileUpload {
  key: string;
  name: string;
  size: number;
  /** Bytes that the server has, as far as is known. */
  sent: number;
  phase: UploadPhase;
  /** Why it is away or refused, as a sentence. */
  problem: string;
  /** Where it was, lately: to say how fast it is. Oldest first. */
  trail: readonly Place[];
}

interface Place {
  /** Any clock, in milliseconds. */
  at: number;
  sent: number;
}

export type UploadsState = readonly FileUpload[];

export type UploadAction =
  | { type: "added"; uploads: readonly Pick<FileUpload, "key" | "name" | "size">[] }
  | { type: "sending"; key: string }
  | { type: "progress"; key: string; sent: number; at: number }
  | { type: "paused"; key: string }
  | { type: "away"; key: string; problem: string }
  | { type: "refused"; key: string; problem: string }
  /** Taken, cancelled, or closed behind a refusal. */
  | { type: "gone"; key: string };

const TRAIL_MS = 10_000;
/** Before this there is nothing to say of its speed. */
const KNOWN_AFTER_MS = 1_500;

export function reduceUploads(state: UploadsState, action: UploadAction): UploadsState {
  switch (action.type) {
    case "added":
      return [
        ...state,
        ...action.uploads.map((file) => ({ ...file, sent: 0, phase: "waiting" as const, problem: "", trail: [] })),
      ];
    case "gone":
      return state.filter(({ key }) => key !== action.key);
    default:
      return state.map((upload) => (upload.key === action.key ? changed(upload, action) : upload));
  }
}

function changed(upload: FileUpload, action: Exclude<UploadAction, { type: "added" | "gone" }>): FileUpload {
  switch (action.type) {
    case "sending":
      return { ...upload, phase: "sending", problem: "", trail: [] };
    case "progress": {
      const { sent, at } = action;
      const trail = [...upload.trail.filter((place) => at - place.at <= TRAIL_MS), { at, sent }];
      // Behind a broken connection less may be there than it seemed.
      const began = trail.findLastIndex((place, i) => i > 0 && place.sent < trail[i - 1]!.sent);
      return { ...upload, sent, trail: began > 0 ? trail.slice(began) : trail };
    }
    case "paused":
      return { ...upload, phase: "paused", problem: "", trail: [] };
    case "away":
    case "refused":
      return { ...upload, phase: action.type, problem: action.problem, trail: [] };
  }
}

/** Bytes a second over the last ten seconds; null while it is too early to say. */
export function speed({ trail }: Pick<FileUpload, "trail">): number | null {
  const first = trail[0];
  const last = trail.at(-1);
  if (!first || !last || last.at - first.at < KNOWN_AFTER_MS) return null;
  return ((last.sent - first.sent) * 1000) / (last.at - first.at);
}

/** Seconds until all of it is there; null while that is not known. */
export function secondsLeft(upload: Pick<FileUpload, "trail" | "size" | "sent">): number | null {
  const rate = speed(upload);
  return rate ? (upload.size - upload.sent) / rate : null;
}

/** Whole percent, 100 only when all of it is there. */
export function percentSent({ size, sent }: Pick<FileUpload, "size" | "sent">): number {
  return size > 0 && sent >= size ? 100 : Math.min(99, Math.floor((100 * sent) / Math.max(1, size)));
}

/** The next whose turn it is, with at most `together` under way. */
export function nextUp(state: UploadsState, together: number): FileUpload | null {
  const underWay = state.filter(({ phase }) => phase === "sending" || phase === "away").length;
  return underWay < together ? (state.find(({ phase }) => phase === "waiting") ?? null) : null;
}
