/** One socket of a session, from `start` to its end, which is told once: closed, broken, or silent for too long. */

import { parseServerMessage, type ClientMessage, type ServerError, type ServerMessage, type Start } from "../wire";
import { isEnding, type ConnectionEnd } from "./reconnect";

/** An open session is never silent for more than 5 s; a server silent for this long is taken for lost. */
const SILENCE_MS = 12_000;
const PING_EVERY_MS = 10_000;
const TICK_MS = 1_000;
/** More than this waiting in the socket means that the network is slower than the audio comes. */
const CONGESTED_BYTES = 1 << 20;
const BROKEN = 1006;

export interface Listener {
  message(message: ServerMessage): void;
  end(end: ConnectionEnd): void;
}

export class Connection {
  #heardAt = performance.now();
  #pingedAt = this.#heardAt;
  #readyAt: number | null = null;
  #error: ServerError | null = null;
  #stopped = false;
  #over = false;
  readonly #timer: ReturnType<typeof setInterval>;

  constructor(
    readonly socket: WebSocket,
    start: Start,
    readonly listener: Listener,
  ) {
    socket.addEventListener("open", () => this.send(start));
    socket.addEventListener("message", ({ data }: MessageEvent<unknown>) => this.#heard(data));
    socket.addEventListener("close", ({ code }) => this.#end(code ?? BROKEN));
    this.#timer = setInterval(() => this.#tick(), TICK_MS);
  }

  /** Audio may be sent. */
  get ready(): boolean {
    return !this.#over && this.#readyAt !== null && this.socket.readyState === WebSocket.OPEN;
  }

  /** Why the server ends the session, once it said so. */
  get error(): ServerError | null {
    return this.#error;
  }

  get congested(): boolean {
    return this.socket.bufferedAmount > CONGESTED_BYTES;
  }

  send(message: ClientMessage): void {
    this.#stopped ||= message.type === "stop";
    if (this.socket.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify(message));
  }

  sendAudio(samples: Int16Array): void {
    this.socket.send(samples as Int16Array<ArrayBuffer>);
  }

  /** Lets the socket go; the listener hears no more of it. */
  close(): void {
    this.#over = true;
    clearInterval(this.#timer);
    this.socket.close();
  }

  #heard(data: unknown): void {
    if (this.#over) return;
    this.#heardAt = performance.now();
    const message = typeof data === "string" ? parseServerMessage(data) : null;
    if (!message) return;
    if (message.type === "ready") this.#readyAt = this.#heardAt;
    if (message.type === "error" && isEnding(message, this.#readyAt !== null)) this.#error = message;
    // Closed without having been asked to: the end of the connection says what becomes of the recording.
    if (message.type === "closed" && this.#error && !this.#stopped) return;
    this.listener.message(message);
  }

  #tick(): void {
    const now = performance.now();
    if (now - this.#heardAt >= SILENCE_MS) return this.#end(BROKEN);
    if (this.#readyAt === null || now - this.#pingedAt < PING_EVERY_MS) return;
    this.#pingedAt = now;
    this.send({ type: "ping" });
  }

  #end(code: number): void {
    if (this.#over) return;
    this.close();
    const readyMs = this.#readyAt === null ? 0 : performance.now() - this.#readyAt;
    this.listener.end({ code, error: this.#error, readyMs });
  }
}
