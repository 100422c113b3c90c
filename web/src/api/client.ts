/** The gateway's HTTP API: typed calls, and every failure as one `ApiError` with a sentence for a person. */

import type { RecognizerInfo, Word } from "../wire";

export interface Recording {
  id: string;
  title: string | null;
  state: "recording" | "finished" | "interrupted";
  created_at: string;
  duration_ms: number;
  language: string | null;
  /** Its first words. */
  preview: string;
}

export interface RecordingPage {
  recordings: Recording[];
  next_cursor: string | null;
}

export interface TranscriptSegment {
  segment: number;
  start_ms: number;
  end_ms: number;
  text: string;
  words: Word[];
  language: string;
  confidence: number;
  suspect: boolean;
}

export interface Transcript {
  recording_id: string;
  segments: TranscriptSegment[];
}

export interface Status {
  version: string;
  recognizer: RecognizerInfo | null;
  engine: "ready" | "unavailable";
}

export class ApiError extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    message: string,
    readonly retryAfterS: number | null = null,
  ) {
    super(message);
    this.name = "ApiError";
  }
}

const ROOT = "/api/v1";

export const TRANSCRIPT_FORMATS = ["txt", "srt", "vtt", "json"] as const;
export type TranscriptFormat = (typeof TRANSCRIPT_FORMATS)[number];

export const getStatus = (signal: AbortSignal | null = null): Promise<Status> => request("/status", { signal });

export const listRecordings = (cursor: string | null): Promise<RecordingPage> =>
  request(`/recordings?limit=50${cursor ? `&cursor=${encodeURIComponent(cursor)}` : ""}`);

export const getRecording = (id: string): Promise<Recording> => request(path(id));

/** `title` null takes the title away. */
export const renameRecording = (id: string, title: string | null): Promise<Recording> =>
  request(path(id), {
    method: "PATCH",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ title }),
  });

/** `keepalive` lets the request outlive the page. */
export const deleteRecording = (id: string, keepalive = false): Promise<void> =>
  request(path(id), { method: "DELETE", keepalive });

export const getTranscript = (id: string): Promise<Transcript> => request(`${path(id)}/transcript?format=json`);

export const audioUrl = (id: string): string => `${ROOT}${path(id)}/audio`;

export const audioDownloadUrl = (id: string): string => `${audioUrl(id)}?download=1`;

export const transcriptDownloadUrl = (id: string, format: TranscriptFormat): string =>
  `${ROOT}${path(id)}/transcript?format=${format}&download=1`;

export const eventsUrl = `${ROOT}/events`;

function path(id: string): string {
  return `/recordings/${encodeURIComponent(id)}`;
}

async function request<T>(resource: string, init: RequestInit = {}): Promise<T> {
  let response: Response;
  try {
    response = await fetch(ROOT + resource, init);
  } catch (error) {
    if (error instanceof DOMException && error.name === "AbortError") throw error;
    throw new ApiError(0, "unreachable", "The server cannot be reached.");
  }
  if (!response.ok) throw await failure(response);
  return (response.status === 204 ? undefined : await response.json()) as T;
}

async function failure(response: Response): Promise<ApiError> {
  try {
    const { error } = (await response.json()) as {
      error: { code: string; message: string; retry_after_s?: number | null };
    };
    return new ApiError(response.status, error.code, error.message, error.retry_after_s ?? null);
  } catch {
    return new ApiError(response.status, "unexpected", `The server answered with an error (${response.status}).`);
  }
}
