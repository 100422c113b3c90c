/**
 * One live session at a time: joins microphone, socket, storage and state. What is shown is decided in `state.ts`,
 * what becomes of a lost connection in `reconnect.ts`.
 *
 * Audio goes from the microphone into the ring, from there to the socket (whenever there is one that is ready) and
 * into the spool; it leaves both when the server says that it is kept.
 */

import type { Microphone } from "../audio/microphone";
import { level } from "../audio/pcm";
import { samplesToMs, type Closed, type Ready, type ServerMessage } from "../wire";
import { Connection } from "./connection";
import type { Locks } from "./locks";
import {
  audioMissing,
  ELSEWHERE,
  FINISHED_ELSEWHERE,
  fromMicrophone,
  MEMORY_FULL,
  MICROPHONE_ENDED,
  NOT_READABLE,
  NOT_SPOOLED,
  OTHER_RATE,
  UNREADABLE,
  type Problem,
} from "./problems";
import {
  backOffMs,
  beginsAnew,
  failuresAfter,
  isCutShort,
  positionOf,
  refusesResume,
  sendFrom,
  shouldResume,
  type ConnectionEnd,
} from "./reconnect";
import { AudioRing } from "./ring";
import { Sender, type Archive } from "./sender";
import { SpoolWriter, type Held, type Spool } from "./spool";
import { heldMs, IDLE, isActive, nextSegment, reduce, type SessionAction, type SessionState } from "./state";

/** What stays in memory of what the spool has: enough for every short absence. */
const MEMORY_S = 60;
/**
 * Silence between what was said before an interruption and after it: longer than what may have been sent but not
 * spooled when the page died, so that nothing new falls where the server already has something.
 */
const JOIN_S = 2;
/** Less than this is not worth offering when a session ends for good. */
const WORTH_OFFERING_MS = 1_000;

/** What a session needs of the browser. */
export interface Devices {
  /** Why this page cannot record at all; null where it can. */
  cannotRecord(): Problem | null;
  openMicrophone(
    onChunk: (chunk: Int16Array) => void,
    onEnded: () => void,
    sampleRate: number | null,
  ): Promise<Microphone>;
  connect(): WebSocket;
  /** Keeps the screen on until the returned function is called. */
  keepAwake(): () => void;
  /** Null where the browser has no storage. */
  spool: Promise<Spool | null>;
  locks: Locks;
}

/** What lives as long as one recording does. */
interface Run {
  /** As the spool knows it; `to` is only true there. */
  held: Held;
  microphone: Microphone | null;
  ring: AudioRing | null;
  /** To read back what left the memory; null while there is none. */
  spool: Spool | null;
  writer: SpoolWriter | null;
  connection: Connection | null;
  /** While the connection is ready. */
  sender: Sender | null;
  /** Where new speech begins in a recording that goes on, until the server has said what it has of it. */
  newFrom: number | null;
  /** The last sample is in the ring. */
  complete: boolean;
  failures: number;
  retry: ReturnType<typeof setTimeout> | undefined;
  letSleep: () => void;
  letGo: () => void;
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
    if (unable) return this.#dispatch({ type: "failed", problem: unable });
    const run = this.#begin(newHeld(this.#state.startedAt));
    if (!(await this.#listen(run, null))) return;
    void this.#keepCopy(run);
    this.#connect(run);
  }

  /** Takes up a recording that was interrupted: to go on with it (`onward`), or to send what is held and finish it. */
  async resume(held: Held, onward: boolean): Promise<void> {
    if (isActive(this.#state.phase)) return;
    this.#dispatch({ type: "resumed", ...known(held), onward });
    const run = this.#begin({ ...held, stopped: !onward });
    if (!(await this.#takeUp(run))) return;
    if (onward && !(await this.#listen(run, held))) return;
    if (!onward) run.complete = true;
    if (this.#run === run) this.#connect(run);
  }

  /** No more audio. The session goes on until the last final has come and the server has closed it. */
  async stop(): Promise<void> {
    const run = this.#run;
    if (!run || this.#state.phase === "finishing") return;
    if (this.#state.phase === "asking") return this.#end(run, { type: "cleared" });
    this.#dispatch({ type: "stopped" });
    await run.microphone?.close();
    run.microphone = null;
    this.#level(0);
    run.complete = true;
    this.#note(run, { stopped: true });
    run.sender?.complete();
  }

  /** Leaves what is not sent to the spool, to be finished later. */
  setAside(): void {
    if (this.#run && this.#state.spooled) this.#end(this.#run, { type: "cleared" });
  }

  /** The network may be back: no need to wait for the next try. */
  readonly retryNow = (): void => {
    const run = this.#run;
    if (!run || run.retry === undefined) return;
    run.failures = 0;
    this.#connect(run);
  };

  /** The page may be about to go: everything that is held goes into the spool. */
  readonly flush = (): void => {
    void this.#run?.writer?.flush();
  };

  dismissProblem(): void {
    this.#dispatch({ type: "dismissed" });
  }

  /** Takes what was said off the page: all of it, or only if it is of recording `id`. A session under way stays. */
  clear(id?: string): void {
    if (isActive(this.#state.phase) || (id !== undefined && this.#state.recordingId !== id)) return;
    this.#dispatch({ type: "cleared" });
  }

  #begin(held: Held): Run {
    const nothing = () => undefined;
    const run: Run = {
      held,
      microphone: null,
      ring: null,
      spool: null,
      writer: null,
      connection: null,
      sender: null,
      newFrom: null,
      complete: false,
      failures: 0,
      retry: undefined,
      letSleep: nothing,
      letGo: nothing,
    };
    this.#run = run;
    return run;
  }

  // --- microphone

  /** Opens the microphone, to go on where `before` ended; whether it did. */
  async #listen(run: Run, before: Held | null): Promise<boolean> {
    try {
      const early: Int16Array[] = [];
      const microphone = await this.devices.openMicrophone(
        (chunk) => (run.microphone ? this.#captured(run, chunk) : early.push(chunk)),
        () => this.#microphoneEnded(run),
        before?.sampleRate ?? null,
      );
      if (this.#run !== run || (before && microphone.sampleRate !== before.sampleRate)) {
        void microphone.close();
        return this.#fail(run, OTHER_RATE);
      }
      run.held.sampleRate = microphone.sampleRate;
      run.ring ??= new AudioRing(microphone.sampleRate);
      if (before) {
        run.ring.push(new Int16Array(JOIN_S * before.sampleRate));
        run.newFrom = run.ring.end;
      }
      run.microphone = microphone;
      early.forEach((chunk) => this.#captured(run, chunk));
    } catch (error) {
      return this.#fail(run, fromMicrophone(error));
    }
    run.letSleep = this.devices.keepAwake();
    this.#dispatch({ type: "capturing" });
    return true;
  }

  #captured(run: Run, chunk: Int16Array): void {
    if (this.#run !== run || !run.ring || run.complete) return;
    run.ring.push(chunk);
    run.writer?.captured();
    void run.sender?.send();
    this.#level(level(chunk));
    this.#dispatch({ type: "captured", ms: lengthMs(run.held, run.ring.end) });
    this.#makeRoom(run, run.ring);
  }

  /** What the spool has need not all be in memory; where there is none, the memory has an end. */
  #makeRoom(run: Run, ring: AudioRing): void {
    if (run.writer) ring.letGo(Math.min(run.writer.writtenTo, ring.end - MEMORY_S * ring.sampleRate));
    if (!ring.full || this.#state.phase === "finishing") return;
    this.#dispatch({ type: "troubled", problem: MEMORY_FULL });
    void this.stop();
  }

  #microphoneEnded(run: Run): void {
    if (this.#run !== run || this.#state.phase === "finishing") return;
    this.#dispatch({ type: "troubled", problem: MICROPHONE_ENDED });
    void this.stop();
  }

  // --- spool

  /** A new recording is copied into the spool from its beginning; where that does not work, the person is told. */
  async #keepCopy(run: Run): Promise<void> {
    try {
      const spool = await this.devices.spool;
      const letGo = spool && (await this.devices.locks.hold(run.held.key));
      if (this.#run !== run || !run.ring || !spool || !letGo) {
        letGo?.();
        if (this.#run === run) this.#spoolFailed(run);
        return;
      }
      run.letGo = letGo;
      this.#write(run, spool, run.ring);
    } catch {
      this.#spoolFailed(run);
    }
  }

  /**
   * Takes up a recording that the spool has and no other page holds; whether that is so.
   *
   * As it is now: another page may have gone on with it since it was offered.
   */
  async #takeUp(run: Run): Promise<boolean> {
    const spool = await this.devices.spool;
    const letGo = spool && (await this.devices.locks.hold(run.held.key));
    if (this.#run !== run || !spool || !letGo) {
      letGo?.();
      return this.#fail(run, ELSEWHERE);
    }
    run.letGo = letGo;
    try {
      const now = await spool.get(run.held.key);
      if (!now) return this.#fail(run, FINISHED_ELSEWHERE);
      Object.assign(run.held, now, { stopped: run.held.stopped });
    } catch {
      return this.#fail(run, UNREADABLE);
    }
    if (this.#run !== run) return false;
    this.#dispatch({ type: "resumed", ...known(run.held), onward: !run.held.stopped });
    run.ring = new AudioRing(run.held.sampleRate, run.held.to);
    this.#write(run, spool, run.ring);
    return true;
  }

  #write(run: Run, spool: Spool, ring: AudioRing): void {
    run.spool = spool;
    run.writer = new SpoolWriter(spool, { ...run.held, to: ring.first }, ring, () => this.#spoolFailed(run));
    void run.writer.flush();
    this.#dispatch({ type: "spooling", works: true });
  }

  #spoolFailed(run: Run): void {
    if (this.#run !== run) return;
    this.#dispatch({ type: "spooling", works: false });
    this.#dispatch({ type: "troubled", problem: NOT_SPOOLED });
  }

  #note(run: Run, facts: Partial<Omit<Held, "key" | "to">>): void {
    Object.assign(run.held, facts);
    run.writer?.note(facts);
  }

  // --- connection

  #connect(run: Run): void {
    clearTimeout(run.retry);
    run.retry = undefined;
    const { sampleRate, resumeToken } = run.held;
    const resume = resumeToken ? { resume: resumeToken, next_segment: nextSegment(this.#state) } : {};
    run.connection = new Connection(
      this.devices.connect(),
      { type: "start", sample_rate: sampleRate, encoding: "pcm_s16le", channels: 1, ...resume },
      {
        message: (message) => this.#run === run && this.#received(run, message),
        end: (end) => this.#run === run && this.#disconnected(run, end),
      },
    );
  }

  #disconnected(run: Run, end: ConnectionEnd): void {
    run.connection = run.sender = null;
    const anew = beginsAnew(end.error, run.held);
    if (!anew && !shouldResume(end)) return this.#over(run, end);
    if (anew) this.#note(run, { recordingId: null, resumeToken: null });
    this.#dispatch({ type: "disconnected", error: end.error });
    run.failures = failuresAfter(run.failures, end);
    const wait = backOffMs(run.failures, Math.random(), end.error?.retry_after_s);
    run.retry = setTimeout(() => this.#connect(run), wait);
  }

  /** The server will not have this session. What it would not take is offered again, as a recording of its own. */
  #over(run: Run, { error }: ConnectionEnd): void {
    if (refusesResume(error)) this.#noteRest(run);
    // What goes on in another window is not this one's to offer: the lock is held for as long as the page lives.
    if (error?.code === "superseded") run.letGo = () => undefined;
    const done = heldMs(this.#state) < WORTH_OFFERING_MS;
    this.#end(run, { type: "ended", error }, done);
  }

  /** What is held becomes a recording of its own. */
  #noteRest(run: Run): void {
    this.#note(run, { recordingId: null, resumeToken: null, origin: run.held.keptTo });
  }

  #received(run: Run, message: ServerMessage): void {
    if (message.type === "closed" && this.#lacks(run, message.duration_ms)) return this.#cutShort(run, message);
    this.#dispatch({ type: "message", message });
    if (message.type === "ready") {
      this.#ready(run, message);
    } else if (message.type === "ack") {
      this.#kept(run, positionOf(run.held, message.samples));
    } else if (message.type === "closed") {
      this.#end(run, null, true);
    }
  }

  #lacks({ held, ring }: Run, durationMs: number): boolean {
    return ring !== null && isCutShort(lengthMs(held, ring.end), durationMs);
  }

  /** What the server does not have stays here. It can still be sent, unless the recording was finished without it. */
  #cutShort(run: Run, { duration_ms }: Closed): void {
    const error = run.connection?.error ?? null;
    if (!error) this.#noteRest(run);
    this.#end(run, { type: "cutShort", durationMs: duration_ms, error });
  }

  #ready(run: Run, { recording_id, resume_token, next_sample }: Ready): void {
    const { connection, ring } = run;
    if (!connection || !ring) return;
    const { position, origin, missing } = sendFrom({ ...run.held, to: run.newFrom ?? ring.end }, next_sample);
    run.newFrom = null;
    this.#note(run, { recordingId: recording_id, resumeToken: resume_token, origin });
    if (missing > 0) this.#missing(run, missing);
    this.#dispatch({ type: "captured", ms: lengthMs(run.held, ring.end) });
    run.sender = new Sender(connection, ring, this.#archive(run), position);
    if (run.complete) run.sender.complete();
    else void run.sender.send();
  }

  #kept(run: Run, position: number): void {
    if (position <= run.held.keptTo) return;
    run.held.keptTo = position;
    run.ring?.letGo(position);
    run.writer?.kept(position);
  }

  /** Where the sender finds what left the memory, and leaves out what is not even there. */
  #archive(run: Run): Archive {
    return {
      read: async (position) => (await run.spool?.read(run.held.key, position)) ?? null,
      unreadable: () => this.#run === run && this.#dispatch({ type: "troubled", problem: NOT_READABLE }),
      missing: (samples) => {
        this.#note(run, { origin: run.held.origin + samples });
        this.#missing(run, samples);
        this.#dispatch({ type: "captured", ms: lengthMs(run.held, run.ring?.end ?? run.held.to) });
      },
    };
  }

  #missing(run: Run, samples: number): void {
    this.#dispatch({ type: "troubled", problem: audioMissing(samplesToMs(samples, run.held.sampleRate)) });
  }

  // --- the end

  /** It cannot begin. Always false, for the caller to hand on. */
  #fail(run: Run, problem: Problem): false {
    if (this.#run === run) this.#end(run, { type: "failed", problem });
    return false;
  }

  /** Lets everything of `run` go, once. `done`: nothing of it is held any longer; else it stays in the spool. */
  #end(run: Run, action: SessionAction | null, done = false): void {
    if (this.#run !== run) return;
    this.#run = null;
    clearTimeout(run.retry);
    run.letSleep();
    void run.microphone?.close();
    run.connection?.close();
    this.#level(0);
    const { writer, letGo } = run;
    const settled = (done ? writer?.discard() : writer?.flush()) ?? Promise.resolve();
    void settled.then(letGo);
    if (action) this.#dispatch(action);
  }

  #level(value: number): void {
    for (const listener of this.#levelListeners) listener(value);
  }

  #dispatch(action: SessionAction): void {
    const next = reduce(this.#state, action);
    if (next === this.#state) return;
    this.#state = next;
    for (const listener of this.#listeners) listener();
  }
}

/** A recording that has not begun; its rate is known when the microphone is open. */
function newHeld(startedAt: number): Held {
  return {
    key: crypto.randomUUID(),
    recordingId: null,
    resumeToken: null,
    sampleRate: 0,
    startedAt,
    origin: 0,
    keptTo: 0,
    to: 0,
    stopped: false,
  };
}

/** What is shown of `held` when it is taken up. */
function known(held: Held) {
  const { startedAt, recordingId } = held;
  return { startedAt, recordingId, capturedMs: lengthMs(held, held.to), keptMs: lengthMs(held, held.keptTo) };
}

/** Milliseconds of the recording before `position`. */
export function lengthMs({ origin, sampleRate }: Held, position: number): number {
  return Math.max(0, samplesToMs(position - origin, sampleRate));
}

/** `/ws/s2t` of the host that served the page. */
export function liveUrl({ protocol, host }: Location): string {
  return `${protocol === "https:" ? "wss" : "ws"}://${host}/ws/s2t`;
}
