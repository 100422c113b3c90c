/** Asking what was said: the events of `POST /api/v1/ask`, as `parley/ask.py` defines them. */

import { eventsOf } from "../ask/sse";
import { ApiError, json, send } from "./client";

/** Where something was said. `quote` stands in the transcript, word for word. */
export interface Citation {
  recording_id: string;
  title: string | null;
  created_at: string;
  segments: number[];
  start_ms: number;
  end_ms: number;
  quote: string;
}

/** One statement, and where it was said. */
export interface Claim {
  text: string;
  citations: Citation[];
}

export type Stage = "searching" | "thinking" | "extracting";

export interface Answer {
  answered: boolean;
  /** `extract`: the claims are sentences of the transcript. */
  method: "llm" | "extract";
  text: string;
  claims: Claim[];
  provider: string | null;
  model: string | null;
  /** What a person should know, such as a language model that was away. */
  notice: string | null;
}

export type AskEvent =
  | { name: "status"; data: { stage: Stage; question: string | null } }
  | { name: "claim"; data: Claim }
  | { name: "answer"; data: Answer }
  | { name: "error"; data: { code: string; message: string; retryable: boolean } }
  | { name: "done"; data: unknown };

const KNOWN: ReadonlySet<string> = new Set(["status", "claim", "answer", "error", "done"]);

export interface Question {
  question: string;
  /** Only about this recording, which may still be running. */
  recording_id: string | null;
  /** What was asked before, the oldest first. */
  history: { question: string; answer: string }[];
}

/** What comes back, as it comes; raises `ApiError` where nothing does, or not all of it. */
export async function* ask(question: Question, signal: AbortSignal): AsyncGenerator<AskEvent> {
  const response = await send("/ask", { ...json("POST", question), signal });
  try {
    for await (const { event, data } of eventsOf(response.body!)) {
      if (KNOWN.has(event)) yield { name: event, data: JSON.parse(data) } as AskEvent;
    }
  } catch (error) {
    if (error instanceof DOMException && error.name === "AbortError") throw error;
    throw new ApiError(0, "broken_off", "The answer broke off.");
  }
}
