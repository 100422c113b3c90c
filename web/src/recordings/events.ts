/**
 * The server's event stream, for as long as the page lives.
 *
 * The browser opens a dropped stream again by itself; it gives up where the answer is not a stream (a proxy's 502, a
 * server that is starting). Then this opens a new one, later with every failure.
 */

/** What is needed of an `EventSource`. */
export type Stream = Pick<EventSource, "readyState" | "addEventListener" | "close">;

export interface Follower {
  /** Something says that the server may be back: do not wait any longer. */
  retryNow(): void;
  close(): void;
}

interface Listeners {
  /** The names of the events that are handed on. */
  kinds: readonly string[];
  onOpen: () => void;
  onEvent: (kind: string, data: string) => void;
}

const CLOSED = 2;
const FIRST_MS = 1_000;
const LONGEST_MS = 30_000;

/** How long to wait after the `failures`th failure in a row; `random` (0 to 1) keeps many pages from coming at once. */
export function retryDelayMs(failures: number, random: number): number {
  const most = Math.min(LONGEST_MS, FIRST_MS * 2 ** Math.max(0, failures - 1));
  return Math.round(most * (0.5 + random / 2));
}

export function follow(connect: () => Stream, { kinds, onOpen, onEvent }: Listeners): Follower {
  let stream: Stream;
  let failures = 0;
  let timer: ReturnType<typeof setTimeout> | undefined;

  const open = (): void => {
    timer = undefined;
    const opened = connect();
    stream = opened;
    opened.addEventListener("open", () => {
      failures = 0;
      onOpen();
    });
    for (const kind of kinds) {
      opened.addEventListener(kind, (event) => onEvent(kind, (event as MessageEvent<string>).data));
    }
    opened.addEventListener("error", () => {
      if (opened !== stream || opened.readyState !== CLOSED || timer !== undefined) return;
      timer = setTimeout(open, retryDelayMs(++failures, Math.random()));
    });
  };
  open();

  return {
    retryNow() {
      if (timer === undefined) return;
      clearTimeout(timer);
      open();
    },
    close() {
      clearTimeout(timer);
      timer = undefined;
      stream.close();
    },
  };
}
