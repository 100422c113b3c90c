import { afterEach, describe, expect, test, vi } from "vitest";
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

  describe("silence", () => {
    afterEach(() => {
      vi.useRealTimers();
    });

    test("a server that says nothing more is taken for lost, and everything is let go", async () => {
      vi.useFakeTimers();
      const { session, socket, microphone, letSleep, say } = await setUp();
      socket.opens();
      socket.says(ready(0));
      say(...Array<number>(16_000).fill(0));
      vi.advanceTimersByTime(29_000);
      expect(session.snapshot().phase).toBe("live");
      vi.advanceTimersByTime(11_000);
      expect(session.snapshot()).toMatchObject({ phase: "lost", problem: { code: "connection_lost" } });
      expect([socket.readyState, microphone.closed]).toEqual([3, 1]);
      expect(letSleep).toHaveBeenCalledOnce();
      expect(vi.getTimerCount()).toBe(0);
    });

    test("it is asked every ten seconds, and an answer is enough to go on", async () => {
      vi.useFakeTimers();
      const { session, socket } = await setUp();
      socket.opens();
      socket.says(ready(0));
      for (let minute = 0; minute < 12; minute++) {
        vi.advanceTimersByTime(10_000);
        socket.says({ type: "pong" });
      }
      expect(session.snapshot().phase).toBe("live");
      expect(socket.sent).toEqual([START, ...Array<unknown>(12).fill({ type: "ping" })]);
    });

    test("a server that never is ready is taken for unreachable, unasked", async () => {
      vi.useFakeTimers();
      const { session, socket } = await setUp();
      socket.opens();
      vi.advanceTimersByTime(40_000);
      expect(session.snapshot()).toMatchObject({ phase: "failed", problem: { code: "unreachable" } });
      expect(socket.sent).toEqual([START]);
    });

    test("after the end nothing more is asked", async () => {
      vi.useFakeTimers();
      const { session, socket } = await setUp();
      socket.opens();
      socket.says(ready(0));
      await session.stop();
      socket.says({ type: "closed", recording_id: "r1", duration_ms: 1 });
      vi.advanceTimersByTime(60_000);
      expect(session.snapshot().phase).toBe("closed");
      expect(socket.sent).toEqual([START, { type: "stop" }]);
    });
  });

  test("a refused microphone opens no connection", async () => {
    const { session, socket } = await setUp({ refused: new DOMException("", "NotAllowedError") });
    expect(session.snapshot()).toMatchObject({ phase: "failed", problem: { code: "microphone_blocked" } });
    expect(socket.sent).toEqual([]);
  });
});
