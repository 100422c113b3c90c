import { useCallback, useEffect, useState } from "react";
import { ApiError } from "../api/client";
import { search, type Hit } from "../api/search";
import { sentence } from "../recordings/library";
import { useServices } from "../services";
import type { Wanted } from "./results";

export type Results =
  /** Nothing is asked. */
  | { status: "idle" }
  | { status: "loading" }
  | { status: "failed"; error: unknown }
  | { status: "ready"; hits: readonly Hit[]; nextOffset: number | null };

/** A search that is away is asked again after this long, for as long as somebody waits for it. */
const AGAIN_MS = 3_000;

/** What is found for `wanted`; older results stay until there are new ones. */
export function useResults(wanted: Wanted): { results: Results; more: () => Promise<void>; again: () => void } {
  const { library } = useServices();
  const { q, recording, language, since, until } = wanted;
  const [results, setResults] = useState<Results>({ status: "idle" });
  const [attempt, setAttempt] = useState(0);

  useEffect(() => {
    if (q === "") return setResults({ status: "idle" });
    const abort = new AbortController();
    let timer: ReturnType<typeof setTimeout> | undefined;
    setResults((before) => (before.status === "idle" ? { status: "loading" } : before));
    search(q, { recording, language, since, until }, 0, abort.signal).then(
      ({ hits, next_offset }) => setResults({ status: "ready", hits, nextOffset: next_offset }),
      (error: unknown) => {
        if (abort.signal.aborted) return;
        setResults({ status: "failed", error });
        if (isAway(error)) timer = setTimeout(() => setAttempt((before) => before + 1), AGAIN_MS);
      },
    );
    return () => {
      clearTimeout(timer);
      abort.abort();
    };
  }, [q, recording, language, since, until, attempt]);

  const more = useCallback(async () => {
    if (results.status !== "ready" || results.nextOffset === null) return;
    try {
      const filters = { recording, language, since, until };
      const { hits, next_offset } = await search(q, filters, results.nextOffset, new AbortController().signal);
      setResults((now) =>
        now === results ? { status: "ready", hits: [...now.hits, ...hits], nextOffset: next_offset } : now,
      );
    } catch (error) {
      library.say(sentence(error));
    }
  }, [language, library, q, recording, results, since, until]);

  return { results, more, again: () => setAttempt((before) => before + 1) };
}

function isAway(error: unknown): boolean {
  return error instanceof ApiError && (error.status === 0 || error.status >= 500);
}
