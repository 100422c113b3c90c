import { describe, expect, test, vi } from "vitest";
import type { ServerMessage } from "../wire";
import { LiveSession } from "./session";

/** A socket that writes down what was sent: messages as objects, audio as its samples. */
class ScriptedSocket extends EventTarget {
  readyState = 1;
  readonly sent: unknown[] = [];

  send(data: string | Int16Array): void {
    this.sent.push(typeof data === "string" ? JSON.parse(data) : [...data]);
  }

  close(): void {
    this.readyState = 3;
  }

  opens(): void {
    this.dispatchEvent(new Event("open"));
  }

  says(message: ServerMessage): void {
    this.dispatchEvent(new MessageEvent("message", { data: JSON.stringify(message) }));
  }

  drops(): void {
    this.readyState = 3;
    this.dispatchEvent(new Event("close"));
  }
}

/** A microphone at 16 kHz that hands over `rest` when it is closed. */
class ScriptedMicrophone {
  sampleRate = 16_000;
  rest: number[] = [];
  closed = 0;
  hear: (chunk: Int16Array) => void = () => undefined;
  vanish: () => void = () => undefined;

  async close(): Promise<void> {
    this.closed++;
    if (this.rest.length > 0) this.hear(Int16Array.from(this.rest.splice(0)));
  }
}

const ready = (next_sample: number): ServerMessage => ({
  type: "ready",
  protocol: 1,
  recording_id: "r1",
  resume_token: "t",
  next_sample,
  recognizer: { name: "faster-whisper", model: "small", device: "cpu", fallback: false, reason: "asked for" },
});

async function setUp({ refused }: { refused?: DOMException } = {}) {
  vi.stubGlobal("WebSocket", { OPEN: 1 });
  const microphone = new ScriptedMicrophone();
  const socket = new ScriptedSocket();
  const letSleep = vi.fn();
  const session = new LiveSession({
    cannotRecord: () => null,
    openMicrophone: async (onChunk, onEnded) => {
      if (refused) throw refused;
      microphone.hear = onChunk;
      microphone.vanish = onEnded;
      return microphone;
    },
    connect: () => socket as unknown as WebSocket,
    keepAwake: () => letSleep,
  });
  await session.start();
  return {
    session,
    socket,
    letSleep,
    microphone,
    say: (...samples: number[]) => microphone.hear(Int16Array.from(samples)),
  };
}

const START = { type: "start", sample_rate: 16_000, encoding: "pcm_s16le", channels: 1 };

describe("LiveSession", () => {
  test("what was said before the server was ready goes out first", async () => {
    const { socket, say } = await setUp();
    say(1, 2);
    socket.opens();
    say(3, 4);
    socket.says(ready(0));
    say(5);
    expect(socket.sent).toEqual([START, [1, 2], [3, 4], [5]]);
  });

  test("audio goes out from the sample that ready asks for", async () => {
    const { socket, say } = await setUp();
    socket.opens();
    say(1, 2, 3);
    socket.says(ready(2));
    expect(socket.sent).toEqual([START, [3]]);
  });

  test("the last samples go out before stop", async () => {
    const { session, socket, microphone, letSleep, say } = await setUp();
    socket.opens();
    socket.says(ready(0));
    say(1);
    microphone.rest = [2, 3];
    await session.stop();
    expect(socket.sent).toEqual([START, [1], [2, 3], { type: "stop" }]);
    expect(session.snapshot().phase).toBe("finishing");
    socket.says({ type: "closed", recording_id: "r1", duration_ms: 1 });
    expect(session.snapshot().phase).toBe("closed");
    expect(letSleep).toHaveBeenCalled();
  });

  test("stopped before the server was ready, it still sends everything", async () => {
    const { session, socket, say } = await setUp();
    say(1);
    await session.stop();
    socket.opens();
    socket.says(ready(0));
    expect(socket.sent).toEqual([START, [1], { type: "stop" }]);
  });

  test("a lost connection lets the microphone go", async () => {
    const { session, socket, microphone } = await setUp();
    socket.opens();
    socket.says(ready(0));
    socket.drops();
    expect(session.snapshot().phase).toBe("lost");
    expect(microphone.closed).toBe(1);
  });

  test("a microphone that goes away ends the recording and says so", async () => {
    const { session, socket, microphone } = await setUp();
    socket.opens();
    socket.says(ready(0));
    microphone.vanish();
    await Promise.resolve();
    expect(session.snapshot()).toMatchObject({ phase: "finishing", problem: { code: "microphone_ended" } });
  });

  test("a refused microphone opens no connection", async () => {
    const { session, socket } = await setUp({ refused: new DOMException("", "NotAllowedError") });
    expect(session.snapshot()).toMatchObject({ phase: "failed", problem: { code: "microphone_blocked" } });
    expect(socket.sent).toEqual([]);
  });
});
