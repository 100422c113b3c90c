import { describe, expect, test } from "vitest";
import type { Final, Partial, Ready, ServerError, ServerMessage } from "../wire";
import { fromMicrophone } from "./problems";
import { heldMs, IDLE, nextSegment, reduce, type OpenSegment, type SessionAction, type SessionState } from "./state";

const READY: Ready = {
  type: "ready",
  protocol: 1,
  recording_id: "r1",
  resume_token: "t",
  next_sample: 0,
  recognizer: { name: "faster-whisper", model: "small", device: "cpu", fallback: false, reason: "asked for" },
};

const partial = (segment: number, revision: number, committed: string, tentative: string): Partial => ({
  type: "partial",
  segment,
  revision,
  start_ms: segment * 1000,
  committed,
  tentative,
  lag_ms: 120,
});

const final = (segment: number, text: string): Final => ({
  type: "final",
  segment,
  start_ms: segment * 1000,
  end_ms: segment * 1000 + 900,
  text,
  words: [],
  language: "en",
  confidence: 0.9,
  suspect: false,
});

const run = (actions: SessionAction[], from: SessionState = IDLE): SessionState => actions.reduce(reduce, from);
const received = (...messages: ServerMessage[]): SessionAction[] =>
  messages.map((message) => ({ type: "message", message }));

const error = (code: string, more: globalThis.Partial<ServerError> = {}): ServerError => ({
  type: "error",
  code,
  message: "In its own words.",
  retryable: true,
  ...more,
});
const AWAY: SessionAction = { type: "disconnected", error: null };
const CONNECTING = run([{ type: "asked", at: 7 }, { type: "capturing" }]);
const LIVE = run(received(READY), CONNECTING);

function open(state: SessionState, segment: number): OpenSegment {
  const found = state.segments.find((known) => known.segment === segment);
  if (found?.kind !== "open") throw new Error(`segment ${segment} is not open`);
  return found;
}

describe("phases", () => {
  test("a session goes from asking through live to closed", () => {
    expect(CONNECTING.phase).toBe("connecting");
    expect(LIVE.phase).toBe("live");
    const finishing = run([{ type: "stopped" }], LIVE);
    expect(finishing.phase).toBe("finishing");
    const closed = run(received({ type: "closed", recording_id: "r1", duration_ms: 4200 }), finishing);
    expect(closed).toMatchObject({ phase: "closed", recordingId: "r1", durationMs: 4200, keptMs: 4200 });
  });

  test("a recording that was closed without all of its audio is lost, and what is held is told", () => {
    const finishing = run(
      [{ type: "captured", ms: 10_000 }, { type: "spooling", works: true }, { type: "stopped" }],
      LIVE,
    );
    const cut = (spooled: boolean, said: ServerError | null = null) =>
      run([{ type: "cutShort", durationMs: 4_000, error: said }], { ...finishing, spooled });
    expect(cut(true)).toMatchObject({
      phase: "lost",
      keptMs: 4_000,
      recordingId: "r1",
      problem: { code: "cut_short" },
    });
    expect(cut(true).problem?.message).toBe(
      "The server closed this recording before it had all of it. Everything up to 0:04 is kept. The last 6 seconds are still held here.",
    );
    expect(cut(false, error("engine_error", { message: "The engine failed." })).problem?.message).toBe(
      "The engine failed. Everything up to 0:04 is kept. The last 6 seconds were not sent.",
    );
    expect(run([{ type: "cutShort", durationMs: 1, error: null }])).toBe(IDLE);
  });

  test("stopping before the server is ready still finishes", () => {
    const stopped = run([{ type: "stopped" }, ...received(READY)], CONNECTING);
    expect(stopped).toMatchObject({ phase: "finishing", recordingId: "r1" });
  });

  test("a refused microphone ends in failed, with what to do", () => {
    const refused = fromMicrophone(new DOMException("", "NotAllowedError"));
    const state = run([
      { type: "asked", at: 7 },
      { type: "failed", problem: refused },
    ]);
    expect(state.phase).toBe("failed");
    expect(state.problem?.message).toBe(
      "The microphone is blocked. Allow it in the address bar, then press record again.",
    );
  });

  test("the end of the connection after closed changes nothing", () => {
    const closed = run(received({ type: "closed", recording_id: "r1", duration_ms: 1 }), LIVE);
    expect(run([AWAY], closed)).toBe(closed);
    expect(run([{ type: "ended", error: null }], closed)).toBe(closed);
  });

  test("an error while live is shown and the session goes on", () => {
    const state = run(received(error("engine_error", { message: "It stumbled." })), LIVE);
    expect(state).toMatchObject({ phase: "live", problem: { message: "It stumbled." } });
  });

  test("the hint that no words come goes with the first words", () => {
    const hint: ServerMessage = { type: "error", code: "no_words", message: "No words.", retryable: false };
    const state = run(received(hint, final(0, "")), LIVE);
    expect(state.problem?.message).toBe("No words.");
    expect(run(received(final(1, "hello")), state).problem).toBeNull();
  });

  test("recording again starts from nothing", () => {
    const lost = run([...received(final(0, "old")), { type: "ended", error: null }], LIVE);
    expect(run([{ type: "asked", at: 7 }], lost)).toEqual({ ...IDLE, phase: "asking", startedAt: 7 });
  });
});

describe("a connection that is away", () => {
  const captured = (ms: number): SessionAction => ({ type: "captured", ms });

  test("ends nothing: capturing goes on, and so does the session when it is back", () => {
    const away = run([captured(4_000), AWAY, captured(9_000)], LIVE);
    expect(away).toMatchObject({ phase: "reconnecting", away: true, capturedMs: 9_000, problem: null });
    expect(heldMs(away)).toBe(9_000);
    expect(run(received(READY), away)).toMatchObject({ phase: "live", away: false });
  });

  test("holds back neither the beginning nor the end", () => {
    expect(run([AWAY], CONNECTING)).toMatchObject({ phase: "connecting", away: true });
    const finishing = run([{ type: "stopped" }, AWAY], LIVE);
    expect(finishing).toMatchObject({ phase: "finishing", away: true });
    expect(run(received(READY), finishing)).toMatchObject({ phase: "finishing", away: false });
    expect(run([AWAY, { type: "stopped" }], LIVE)).toMatchObject({ phase: "finishing", away: true });
  });

  test("a server that restarts is worth no words, one that is full is", () => {
    expect(run([{ type: "disconnected", error: error("going_away") }], LIVE).problem).toBeNull();
    const full = run([{ type: "disconnected", error: error("at_capacity") }], CONNECTING);
    expect(full.problem?.message).toContain("What you say is held here");
    expect(run(received(READY), full).problem).toBeNull();
  });

  test("partials count from nothing again, and what was on the page stays until there is more", () => {
    const before = run([...received(partial(0, 7, "the quick", "brown")), AWAY, ...received(READY)], LIVE);
    expect(open(before, 0)).toMatchObject({ committed: "the quick", tentative: "brown" });
    const less = run(received(partial(0, 0, "", "the quick brown fox")), before);
    expect(open(less, 0)).toMatchObject({ committed: "the quick", tentative: "brown fox" });
    expect(open(run(received(partial(0, 1, "the quick brown", "")), less), 0).committed).toBe("the quick brown");
  });

  test("a final that comes again changes nothing", () => {
    const state = run([...received(final(0, "One.")), AWAY, ...received(READY)], LIVE);
    expect(run(received(final(0, "One.")), state).segments).toEqual(state.segments);
  });

  test("finals are asked for from the first that is not here", () => {
    expect(nextSegment(LIVE)).toBe(0);
    expect(nextSegment(run(received(final(0, "One."), final(1, "")), LIVE))).toBe(2);
    expect(nextSegment(run(received(final(0, "One."), partial(1, 0, "two", ""), final(2, "Three.")), LIVE))).toBe(1);
    expect(nextSegment(run(received(final(1, "Two.")), LIVE))).toBe(0);
  });

  test("a recogniser that is not at hand takes nothing back", () => {
    const { recognizer: _, ...ready } = READY;
    expect(run([AWAY, ...received(ready)], LIVE).recognizer?.name).toBe("faster-whisper");
    expect(run(received(ready), CONNECTING).recognizer).toBeNull();
    const later: ServerMessage = { type: "recognizer", recognizer: { ...READY.recognizer!, name: "pocketsphinx" } };
    expect(run(received(ready, later), CONNECTING).recognizer?.name).toBe("pocketsphinx");
  });
});

describe("a session that is over", () => {
  const before: SessionAction[] = [
    { type: "captured", ms: 65_000 },
    ...received({ type: "ack", samples: 61 * 16_000 }),
  ];
  const over = (said: ServerError | null, spooled: boolean) =>
    run([...before, { type: "spooling", works: spooled }, { type: "ended", error: said }], LIVE);

  test("says what is kept and what became of the rest", () => {
    expect(over(null, false).problem?.message).toBe(
      "The connection was lost. Everything up to 1:01 is kept. The last 4 seconds were not sent.",
    );
    expect(over(error("resume_expired"), true)).toMatchObject({
      phase: "lost",
      problem: {
        message:
          "This recording was away for too long to go on with it. Everything up to 1:01 is kept. " +
          "The last 4 seconds are still held here.",
      },
    });
  });

  test("says that it goes on in another window", () => {
    expect(over(error("superseded"), true).problem?.message).toBe("This recording goes on in another window.");
  });

  test("that never began has failed, in the words of the server", () => {
    const state = run([{ type: "ended", error: error("forbidden_origin") }], CONNECTING);
    expect(state).toMatchObject({ phase: "failed", problem: { message: "In its own words." } });
  });
});

describe("troubles that pass", () => {
  const after = (code: string, ...messages: ServerMessage[]) => run(received(error(code), ...messages), LIVE).problem;
  const ack: ServerMessage = { type: "ack", samples: 16_000 };

  test("storage that is away is over with the next ack that moves", () => {
    expect(after("storage_unavailable", partial(0, 0, "words", ""))).not.toBeNull();
    expect(after("storage_unavailable", { ...ack, samples: 0 })).not.toBeNull();
    expect(after("storage_unavailable", ack)).toBeNull();
    expect(after("database_unavailable", ack)).toBeNull();
  });

  test("a recogniser that is away is back with its words", () => {
    expect(after("engine_unavailable", ack)).not.toBeNull();
    expect(after("engine_unavailable", partial(0, 0, "", "words"))).toBeNull();
    expect(after("engine_unavailable", final(0, "Words."))).toBeNull();
  });

  test("other troubles stay until they are closed", () => {
    expect(after("malformed_message", ack, final(0, "Words."))).not.toBeNull();
  });
});

describe("a recording that was interrupted", () => {
  const known = { startedAt: 7, recordingId: "r1", capturedMs: 133_000, keptMs: 125_000 };

  test("is gone on with from the microphone, or only finished", () => {
    expect(run([{ type: "resumed", ...known, onward: true }])).toMatchObject({ phase: "asking", ...known });
    const finishing = run([{ type: "resumed", ...known, onward: false }, ...received(READY)]);
    expect(finishing).toMatchObject({ phase: "finishing", ...known });
    expect(run(received({ type: "closed", recording_id: "r1", duration_ms: 133_000 }), finishing).phase).toBe("closed");
  });
});

describe("text", () => {
  test("speech_start opens a segment without words", () => {
    const state = run(received({ type: "speech_start", segment: 0, start_ms: 300 }), LIVE);
    expect(open(state, 0)).toMatchObject({ committed: "", tentative: "", start_ms: 300 });
  });

  test("a partial replaces the partial before it", () => {
    const state = run(received(partial(0, 0, "", "the quick"), partial(0, 1, "the", "quick brown")), LIVE);
    expect(open(state, 0)).toMatchObject({ committed: "the", tentative: "quick brown" });
  });

  test("an older revision is passed over", () => {
    const state = run(received(partial(0, 3, "the quick", ""), partial(0, 2, "the", "quack")), LIVE);
    expect(open(state, 0).committed).toBe("the quick");
  });

  test("committed text never shrinks, whatever arrives", () => {
    const words = ["the", "the quick", "the", "a quick brown", "", "the quick brown fox", "the slow"];
    let state = LIVE;
    let before = "";
    words.forEach((committed, revision) => {
      state = run(received(partial(0, revision, committed, "tail")), state);
      expect(open(state, 0).committed.startsWith(before)).toBe(true);
      before = open(state, 0).committed;
    });
    expect(before).toBe("the quick brown fox");
  });

  test("what was committed is not repeated in the tail when the server takes it back", () => {
    const state = run(received(partial(0, 0, "the quick", ""), partial(0, 1, "the", "quick brown")), LIVE);
    expect(open(state, 0)).toMatchObject({ committed: "the quick", tentative: "brown" });
  });

  test("a final replaces the partials of its segment, and never changes", () => {
    const state = run(received(partial(0, 0, "the", "quick"), final(0, "The quick."), final(0, "Else.")), LIVE);
    expect(state.segments).toMatchObject([{ kind: "final", text: "The quick." }]);
    expect(run(received(partial(0, 9, "late", "")), state).segments).toEqual(state.segments);
  });

  test("segments stand in the order of their numbers, however they arrive", () => {
    const state = run(received(partial(2, 0, "", "three"), final(0, "One."), partial(1, 0, "two", "")), LIVE);
    expect(state.segments.map(({ segment }) => segment)).toEqual([0, 1, 2]);
  });

  test("acks only move forward", () => {
    const state = run(received({ type: "ack", samples: 32_000 }, { type: "ack", samples: 16_000 }), LIVE);
    expect(state.keptMs).toBe(2000);
  });
});
