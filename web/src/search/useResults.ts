import { useCallback, useEffect, useState } from "react";
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

/** What is found for `wanted`; older results stay until there are new ones. */
export function useResults(wanted: Wanted): { results: Results; more: () => Promise<void>; again: () => void } {
  const { library } = useServices();
  const { q, recording_id, language, since, until } = wanted;
  const [results, setResults] = useState<Results>({ status: "idle" });
  const [attempt, setAttempt] = useState(0);

  useEffect(() => {
    if (q === "") return setResults({ status: "idle" });
    const abort = new AbortController();
    setResults((before) => (before.status === "ready" ? before : { status: "loading" }));
    search(q, { recording_id, language, since, until }, 0, abort.signal).then(
      ({ hits, next_offset }) => setResults({ status: "ready", hits, nextOffset: next_offset }),
      (error: unknown) => abort.signal.aborted || setResults({ status: "failed", error }),
    );
    return () => abort.abort();
  }, [q, recording_id, language, since, until, attempt]);

  const more = useCallback(async () => {
    if (results.status !== "ready" || results.nextOffset === null) return;
    try {
      const filters = { recording_id, language, since, until };
      const { hits, next_offset } = await search(q, filters, results.nextOffset, new AbortController().signal);
      setResults((now) =>
        now === results ? { status: "ready", hits: [...now.hits, ...hits], nextOffset: next_offset } : now,
      );
    } catch (error) {
      library.say(sentence(error));
    }
  }, [language, library, q, recording_id, results, since, until]);

  return { results, more, again: () => setAttempt((before) => before + 1) };
}
