import type { ReactNode } from "react";
import { Prose } from "../components/Prose";
import type { LoadedList } from "./useLoaded";

interface Props<T> {
  loaded: LoadedList<T>;
  onAgain: () => void;
  /** What is said where there are none. */
  nothing: string;
  children: (items: readonly T[]) => ReactNode;
}

/** A list, or why there is none. */
export function ListState<T>({ loaded, onAgain, nothing, children }: Props<T>) {
  if (loaded.status === "loading") {
    return (
      <div className="skeleton" role="status" aria-label="Loading">
        <div className="skeleton-line" />
        <div className="skeleton-line" />
      </div>
    );
  }
  if (loaded.status === "failed") {
    return (
      <p role="alert" className="problem">
        It could not be loaded. <Prose text={loaded.error} />{" "}
        <button type="button" className="link-button" onClick={onAgain}>
          Try again
        </button>
      </p>
    );
  }
  return loaded.items.length > 0 ? children(loaded.items) : <p className="recording-note">{nothing}</p>;
}
