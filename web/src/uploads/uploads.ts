/**
 * Files on their way to the server, by the tus protocol: in parts, so that a connection may break at any moment.
 *
 * Where each is kept on the server is remembered in the browser's storage. A page that is loaded again cannot read the
 * file, but it can say that it was not sent to its end, and goes on where it was when the same file is given again.
 */

import type { DetailedError, PreviousUpload, Upload } from "tus-js-client";
import { ROOT } from "../api/client";
import { retryDelayMs } from "../recordings/events";
import { bytes } from "../text/amounts";
import { comesBack, refusal } from "./checks";
import { nextUp, reduceUploads, type UploadAction, type UploadsState } from "./state";

type UploadOptions = Upload["options"];

export const UPLOADS_URL = `${ROOT}/uploads`;
/** Loaded when there is something to send: most who come here speak. */
const tus = () => import("tus-js-client");
/** What the library's entries in the browser's storage begin with. */
const STORED = "tus::";
const PART_BYTES = 16 * 1024 * 1024;
const TOGETHER = 2;
const NOT_LOADED = "The connection is lost. Add it again when it is back.";
/** From so many files on they stand behind whoever brings just one. */
const BULK_FILES = 6;

export interface Taken {
  recordingId: string | null;
  jobId: string | null;
}

/** An upload that an earlier page began and nobody goes on with here. */
export interface Unfinished {
  /** Where the browser's storage has it. */
  key: string;
  url: string;
  name: string;
  size: number;
  sent: number;
}

interface Sending {
  upload: Upload;
  failures: number;
  timer: ReturnType<typeof setTimeout> | undefined;
}

export class Uploads {
  #state: UploadsState = [];
  #unfinished: readonly Unfinished[] = [];
  #mostBytes: Promise<number | null> | null = null;
  #count = 0;
  readonly #sending = new Map<string, Sending>();
  readonly #listeners = new Set<() => void>();

  /** `onTaken` is told of every file that has become a recording. */
  constructor(private readonly onTaken: (taken: Taken) => void) {}

  readonly subscribe = (listener: () => void): (() => void) => {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  };

  readonly snapshot = (): UploadsState => this.#state;
  readonly unfinished = (): readonly Unfinished[] => this.#unfinished;

  /** Sends `files`, two at a time; a file that an earlier page began goes on where it was. */
  async add(files: readonly File[]): Promise<void> {
    const entries = files.map((file) => ({ file, key: `u${++this.#count}` }));
    const priority = files.length >= BULK_FILES ? "bulk" : "normal";
    this.#dispatch({ type: "added", uploads: entries.map(({ file: { name, size }, key }) => ({ key, name, size })) });
    const [mostBytes, library] = await Promise.all([this.#knownMostBytes(), tus().catch(() => null)]);
    if (!library) {
      for (const { key } of entries) this.#dispatch({ type: "refused", key, problem: NOT_LOADED });
      return;
    }
    const { Upload } = library;
    for (const { file, key } of entries) {
      const problem = refusal(file, mostBytes);
      if (problem) this.#dispatch({ type: "refused", key, problem });
      else
        this.#sending.set(key, {
          upload: new Upload(file, this.#options(file, key, priority)),
          failures: 0,
          timer: undefined,
        });
    }
    this.#next();
  }

  /** The server's limit; where it did not say, it is asked again the next time. */
  async #knownMostBytes(): Promise<number | null> {
    const mostBytes = await (this.#mostBytes ??= askMostBytes());
    if (mostBytes === null) this.#mostBytes = null;
    return mostBytes;
  }

  pause(key: string): void {
    const sending = this.#sending.get(key);
    if (!sending) return;
    clearTimeout(sending.timer);
    void sending.upload.abort().catch(() => undefined);
    this.#dispatch({ type: "paused", key });
    this.#next();
  }

  goOn(key: string): void {
    this.#start(key);
  }

  /** What the server has of it goes as well. */
  cancel(key: string): void {
    const sending = this.#sending.get(key);
    if (sending) {
      clearTimeout(sending.timer);
      // Without a connection the server keeps it until it expires.
      void sending.upload.abort(sending.upload.url !== null).catch(() => undefined);
    }
    this.#remove(key);
  }

  /** Something says that the connection may be back. */
  readonly retryNow = (): void => {
    for (const upload of this.#state) if (upload.phase === "away") this.#start(upload.key);
  };

  get busy(): boolean {
    return this.#state.some(({ phase }) => phase !== "refused");
  }

  /** Looks for what earlier pages began; what the server no longer has, or has all of, is forgotten. */
  async findUnfinished(): Promise<void> {
    if (!hasStored()) return;
    const { defaultOptions } = await tus();
    const stored = await defaultOptions.urlStorage.findAllUploads().catch(() => []);
    const found = await Promise.all(stored.map(howFar));
    this.#unfinished = found.filter((one) => one !== null && !this.#isSending(one.url)) as Unfinished[];
    this.#tell();
  }

  async forget(unfinished: Unfinished): Promise<void> {
    this.#unfinished = this.#unfinished.filter(({ key }) => key !== unfinished.key);
    this.#tell();
    const { Upload } = await tus();
    await forgetStored(unfinished.key);
    // Without a connection the server keeps it until it expires.
    await Upload.terminate(unfinished.url).catch(() => undefined);
  }

  #options(file: File, key: string, priority: string): UploadOptions {
    return {
      endpoint: UPLOADS_URL,
      chunkSize: PART_BYTES,
      metadata: { filename: file.name, priority },
      // When and how often is decided here, for as long as the page is open.
      retryDelays: null,
      removeFingerprintOnSuccess: true,
      onAfterResponse: (request, response) => {
        // Else a server that is away for a moment would be taken for one that has lost the upload.
        const status = response.getStatus();
        if (request.getMethod() === "HEAD" && status >= 400 && comesBack(status)) {
          throw new Error(`The server answered with ${status}.`);
        }
      },
      onProgress: (sent) => {
        const sending = this.#sending.get(key);
        if (sending) sending.failures = 0;
        this.#dispatch({ type: "progress", key, sent, at: performance.now() });
      },
      onUploadUrlAvailable: () => this.#known(key),
      onSuccess: ({ lastResponse }) => {
        this.onTaken({
          recordingId: lastResponse.getHeader("Parley-Recording-Id") ?? null,
          jobId: lastResponse.getHeader("Parley-Job-Id") ?? null,
        });
        this.#remove(key);
      },
      onError: (error) => this.#failed(key, error),
    };
  }

  /** Begins with the files whose turn has come, of those that can be sent already. */
  #next(): void {
    for (;;) {
      const ready = this.#state.filter(({ key }) => this.#sending.has(key));
      const next = nextUp(ready, TOGETHER);
      if (!next) return;
      this.#start(next.key);
    }
  }

  #start(key: string): void {
    const sending = this.#sending.get(key);
    if (!sending) return;
    clearTimeout(sending.timer);
    this.#dispatch({ type: "sending", key });
    void this.#begin(sending.upload);
  }

  async #begin(upload: Upload): Promise<void> {
    if (upload.url === null) {
      const [previous] = await upload.findPreviousUploads().catch(() => []);
      if (previous) upload.resumeFromPreviousUpload(previous);
    }
    upload.start();
  }

  #failed(key: string, error: Error): void {
    const sending = this.#sending.get(key);
    if (!sending) return;
    const response = "originalResponse" in error ? (error as DetailedError).originalResponse : null;
    const status = response?.getStatus() || null;
    if (!comesBack(status)) {
      // Neither the server nor this browser needs to remember what will never be taken.
      this.#sending.delete(key);
      void sending.upload.abort(sending.upload.url !== null).catch(() => undefined);
      this.#dispatch({ type: "refused", key, problem: reasonOf(response?.getBody() ?? "", status) });
      return this.#next();
    }
    this.#dispatch({
      type: "away",
      key,
      problem: status === null ? "The connection is lost." : reasonOf(response?.getBody() ?? "", status),
    });
    sending.timer = setTimeout(() => this.#start(key), retryDelayMs(++sending.failures, Math.random()));
  }

  /** An upload that goes on is no longer one to offer. */
  #known(key: string): void {
    const url = this.#sending.get(key)?.upload.url;
    const unfinished = this.#unfinished.filter((one) => one.url !== url);
    if (unfinished.length === this.#unfinished.length) return;
    this.#unfinished = unfinished;
    this.#tell();
  }

  #isSending(url: string): boolean {
    return [...this.#sending.values()].some(({ upload }) => upload.url === url);
  }

  #remove(key: string): void {
    this.#sending.delete(key);
    this.#dispatch({ type: "gone", key });
    this.#next();
  }

  #dispatch(action: UploadAction): void {
    this.#state = reduceUploads(this.#state, action);
    this.#tell();
  }

  #tell(): void {
    for (const listener of this.#listeners) listener();
  }
}

/** "talk.mp3, 43 % of 412 MB sent" */
export function unfinishedPhrase({ name, size, sent }: Unfinished): string {
  return `“${name}” was not sent to its end (${Math.floor((100 * sent) / Math.max(1, size))} % of ${bytes(size)}).`;
}

function hasStored(): boolean {
  try {
    return Object.keys(localStorage).some((key) => key.startsWith(STORED));
  } catch {
    return false;
  }
}

async function forgetStored(key: string): Promise<void> {
  await (await tus()).defaultOptions.urlStorage.removeUpload(key);
}

async function askMostBytes(): Promise<number | null> {
  try {
    const response = await fetch(UPLOADS_URL, { method: "OPTIONS" });
    return Number(response.headers.get("Tus-Max-Size")) || null;
  } catch {
    return null;
  }
}

/** How far the upload is that the browser's storage has; null where the server has nothing, or all of it. */
async function howFar(stored: PreviousUpload): Promise<Unfinished | null> {
  const { uploadUrl: url, size, urlStorageKey: key, metadata } = stored;
  if (!url || !size) return null;
  try {
    const response = await fetch(url, { method: "HEAD", headers: { "Tus-Resumable": "1.0.0" } });
    const sent = Number(response.headers.get("Upload-Offset"));
    if (response.ok && sent < size) return { key, url, size, sent, name: metadata["filename"] ?? "A file" };
    if (response.ok || !comesBack(response.status)) await forgetStored(key);
  } catch {
    // The server is away: offered the next time.
  }
  return null;
}

/** The server's sentence. */
function reasonOf(body: string, status: number | null): string {
  try {
    return (JSON.parse(body) as { error: { message: string } }).error.message;
  } catch {
    return `The server answered with an error (${status}).`;
  }
}
