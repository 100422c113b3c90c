import { useCallback, useEffect, useState } from "react";
import { sentence } from "../recordings/library";

export type LoadedList<T> =
  { status: "loading" } | { status: "failed"; error: string } | { status: "ready"; items: readonly T[] };

/** What `load` gives, and how to have it anew; what was shown stays until there is something newer. */
export function useLoaded<T>(load: () => Promise<readonly T[]>): [LoadedList<T>, () => Promise<void>] {
  const [loaded, setLoaded] = useState<LoadedList<T>>({ status: "loading" });
  const again = useCallback(async () => {
    try {
      setLoaded({ status: "ready", items: await load() });
    } catch (error) {
      setLoaded({ status: "failed", error: sentence(error) });
    }
  }, [load]);
  useEffect(() => void again(), [again]);
  return [loaded, again];
}
