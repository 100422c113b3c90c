/** One live session at a time: joins microphone, socket and state. Every decision is in `state.ts`. */

import type { Microphone } from "../audio/microphone";
import { level } from "../audio/pcm";
import { parseServerMessage, type ClientMessage, type ServerMessage } from "../wire";
import { fromMicrophone, MICROPHONE_ENDED, type Problem } from "./problems";
import { AudioRing } from "./ring";
import { IDLE, isActive, reduce, type SessionAction, type SessionState } from "./state";

const PING_EVERY_MS = 10_000;
/** A server that said nothing for this long, not even `pong`, is taken for lost. */
const SILENCE_MS = 30_000;

/** What a session needs of the browser. */
export interface Devices {
  /** Why this page cannot record at all; null where it can. */
  cannotRecord(): Problem | null;
  openMicrophone(onChunk: (chunk: Int16Array) => void, onEnded: () => void): Promise<Microphone>;
  connect(): WebSocket;
  /** Keeps the screen on until the returned function is called. */
  keepAwake(): () => void;
}

/** What lives as long as one recording does. */
interface Run {
  microphone: Microphone | null;
  socket: WebSocket | null;
  ring: AudioRing | null;
  /** `ready` came: audio goes out as it comes in. */
  ready: boolean;
  stopping: boolean;
  heardAt: number;
  timer: ReturnType<typeof setInterval> | undefined;
  letSleep: () => void;
}

export class LiveSession {
  #state: SessionState = IDLE;
  #run: Run | null = null;
  readonly #listeners = new Set<() => void>();
  readonly #levelListeners = new Set<(level: number) => void>();

  constructor(readonly devices: Devices) {}

  readonly subscribe = (listener: () => void): (() => void) => {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  };

  readonly snapshot = (): SessionState => this.#state;

  /** How loud the voice is, 0 to 1, with every chunk; kept out of the state so that nothing renders for it. */
  onLevel(listener: (level: number) => void): () => void {
    this.#levelListeners.add(listener);
    return () => this.#levelListeners.delete(listener);
  }

  toggle(): void {
    if (isActive(this.#state.phase)) void this.stop();
    else void this.start();
  }

  async start(): Promise<void> {
    if (isActive(this.#state.phase)) return;
    this.#dispatch({ type: "asked", at: Date.now() });
    const unable = this.devices.cannotRecord();
    if (unable) return this.#dispatch({ type: "troubled", problem: unable });

    const run: Run = {
      microphone: null,
      socket: null,
      ring: null,
      ready: false,
      stopping: false,
      heardAt: performance.now(),
      timer: undefined,
      letSleep: () => undefined,
    };
    this.#run = run;
    try {
      const early: Int16Array[] = [];
      const microphone = await this.devices.openMicrophone(
        (chunk) => (run.ring ? this.#captured(run, chunk) : early.push(chunk)),
        () => this.#microphoneEnded(run),
      );
      if (this.#run !== run) return void microphone.close();
      run.microphone = microphone;
      run.ring = new AudioRing(microphone.sampleRate);
      early.forEach((chunk) => this.#captured(run, chunk));
    } catch (error) {
      if (this.#run === run) this.#end(run, { type: "troubled", problem: fromMicrophone(error) });
      return;
    }
    run.letSleep = this.devices.keepAwake();
    this.#dispatch({ type: "capturing" });
    this.#connect(run, run.microphone.sampleRate);
  }

  /** No more audio. The session goes on until the last final has come and the server has closed it. */
  async stop(): Promise<void> {
    const run = this.#run;
    if (!run || run.stopping) return;
    if (this.#state.phase === "asking") return this.#end(run, { type: "cleared" });
    run.stopping = true;
    this.#dispatch({ type: "stopped" });
    await run.microphone?.close();
    this.#level(0);
    if (run.ready) this.#send(run, { type: "stop" });
  }

  dismissProblem(): void {
    this.#dispatch({ type: "dismissed" });
  }

  /** Takes what was said off the page: all of it, or only if it is of recording `id`. A session under way stays. */
  clear(id?: string): void {
    if (isActive(this.#state.phase) || (id !== undefined && this.#state.recordingId !== id)) return;
    this.#dispatch({ type: "cleared" });
  }

  #connect(run: Run, sampleRate: number): void {
    const socket = this.devices.connect();
    run.socket = socket;
    run.heardAt = performance.now();
    socket.addEventListener("open", () => {
      this.#send(run, { type: "start", sample_rate: sampleRate, encoding: "pcm_s16le", channels: 1 });
    });
    socket.addEventListener("message", ({ data }: MessageEvent<unknown>) => {
      run.heardAt = performance.now();
      const message = typeof data === "string" ? parseServerMessage(data) : null;
      if (message && this.#run === run) this.#received(run, message);
    });
    socket.addEventListener("close", () => this.#end(run, { type: "disconnected" }));
    run.timer = setInterval(() => {
      if (performance.now() - run.heardAt > SILENCE_MS) this.#end(run, { type: "disconnected" });
      else if (run.ready) this.#send(run, { type: "ping" });
    }, PING_EVERY_MS);
  }

  #received(run: Run, message: ServerMessage): void {
    this.#dispatch({ type: "message", message });
    if (message.type === "ready") {
      run.ready = true;
      for (const chunk of run.ring?.from(message.next_sample) ?? []) this.#sendAudio(run, chunk);
      if (run.stopping) this.#send(run, { type: "stop" });
    } else if (message.type === "ack") {
      run.ring?.acknowledge(message.samples);
    } else if (message.type === "closed") {
      this.#end(run);
    }
  }

  #captured(run: Run, chunk: Int16Array): void {
    if (!run.ring || this.#run !== run) return;
    run.ring.push(chunk);
    if (run.ready) this.#sendAudio(run, chunk);
    this.#level(level(chunk));
    this.#dispatch({ type: "captured", ms: run.ring.capturedMs });
  }

  #microphoneEnded(run: Run): void {
    if (this.#run !== run || run.stopping) return;
    this.#dispatch({ type: "troubled", problem: MICROPHONE_ENDED });
    void this.stop();
  }

  #send(run: Run, message: ClientMessage): void {
    if (run.socket?.readyState === WebSocket.OPEN) run.socket.send(JSON.stringify(message));
  }

  #sendAudio(run: Run, chunk: Int16Array): void {
    if (run.socket?.readyState === WebSocket.OPEN) run.socket.send(chunk as Int16Array<ArrayBuffer>);
  }

  #level(value: number): void {
    for (const listener of this.#levelListeners) listener(value);
  }

  /** Lets everything of `run` go, once. */
  #end(run: Run, action?: SessionAction): void {
    if (this.#run !== run) return;
    this.#run = null;
    clearInterval(run.timer);
    run.letSleep();
    void run.microphone?.close();
    run.socket?.close();
    this.#level(0);
    if (action) this.#dispatch(action);
  }

  #dispatch(action: SessionAction): void {
    const next = reduce(this.#state, action);
    if (next === this.#state) return;
    this.#state = next;
    for (const listener of this.#listeners) listener();
  }
}

/** `/ws/s2t` of the host that served the page. */
export function liveUrl({ protocol, host }: Location): string {
  return `${protocol === "https:" ? "wss" : "ws"}://${host}/ws/s2t`;
}
