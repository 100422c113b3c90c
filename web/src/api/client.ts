/** The gateway's HTTP API: typed calls, and every failure as one `ApiError` with a sentence for a person. */

import type { RecognizerInfo, Word } from "../wire";

export interface Recording {
  id: string;
  title: string | null;
  /** `processing`: it came as a file, and not all of it is written down yet. */
  state: "recording" | "processing" | "finished" | "interrupted";
  created_at: string;
  duration_ms: number;
  language: string | null;
  /** Its first words. */
  preview: string;
  origin: "live" | "upload" | "import";
  /** The name of the file it came as. */
  source_name: string | null;
  /** The recording of the same audio that its transcript was taken from. */
  same_as: string | null;
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

export const ROOT = "/api/v1";

export const TRANSCRIPT_FORMATS = ["txt", "srt", "vtt", "json", "md", "docx", "pdf"] as const;
export type TranscriptFormat = (typeof TRANSCRIPT_FORMATS)[number];

export const getStatus = (signal: AbortSignal | null = null): Promise<Status> => request("/status", { signal });

export const listRecordings = (cursor: string | null): Promise<RecordingPage> =>
  request(`/recordings?limit=50${cursor ? `&cursor=${encodeURIComponent(cursor)}` : ""}`);

export const getRecording = (id: string): Promise<Recording> => request(path(id));

/** `title` null takes the title away. */
export const renameRecording = (id: string, title: string | null): Promise<Recording> =>
  request(path(id), json("PATCH", { title }));

/** `keepalive` lets the request outlive the page. */
export const deleteRecording = (id: string, keepalive = false): Promise<void> =>
  request(path(id), { method: "DELETE", keepalive });

export const getTranscript = (id: string): Promise<Transcript> => request(`${path(id)}/transcript?format=json`);

export const audioUrl = (id: string): string => `${ROOT}${path(id)}/audio`;

export const audioDownloadUrl = (id: string): string => `${audioUrl(id)}?download=1`;

export const transcriptDownloadUrl = (id: string, format: TranscriptFormat): string =>
  `${ROOT}${path(id)}/transcript?format=${format}&download=1`;

export const eventsUrl = `${ROOT}/events`;

/** Where recording `id` is, under `ROOT`. */
export function path(id: string): string {
  return `/recordings/${encodeURIComponent(id)}`;
}

/** A request with a JSON body. */
export function json(method: string, body: unknown): RequestInit {
  return { method, headers: { "content-type": "application/json" }, body: JSON.stringify(body) };
}

/** `?a=1&b=2` of what has a value; the empty string of nothing. */
export function query(parameters: Readonly<Record<string, string | number | null | undefined>>): string {
  const search = new URLSearchParams();
  for (const [name, value] of Object.entries(parameters)) {
    if (value !== null && value !== undefined && value !== "") search.set(name, String(value));
  }
  return search.size > 0 ? `?${search}` : "";
}

/** Raises `ApiError` for whatever went wrong, except an abort, which stays what it is. */
export async function request<T>(resource: string, init: RequestInit = {}): Promise<T> {
  const response = await send(resource, init);
  return (response.status === 204 ? undefined : await response.json()) as T;
}

/** The same, for an answer that is not JSON. */
export async function send(resource: string, init: RequestInit = {}): Promise<Response> {
  let response: Response;
  try {
    response = await fetch(ROOT + resource, init);
  } catch (error) {
    if (error instanceof DOMException && error.name === "AbortError") throw error;
    throw new ApiError(0, "unreachable", "The server cannot be reached.");
  }
  if (!response.ok) throw await failure(response);
  return response;
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
