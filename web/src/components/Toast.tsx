import { useEffect, useState } from "react";
import { useNotice, useServices } from "../services";

const SHOWN_MS = 7_000;

/** One message at the foot of the page; a deletion waits in it until it goes. */
export function Toast() {
  const { library } = useServices();
  const notice = useNotice();
  const [held, setHeld] = useState(false);

  useEffect(() => {
    if (!notice || held) return;
    const timer = setTimeout(() => library.finishDeletion(), SHOWN_MS);
    return () => clearTimeout(timer);
  }, [notice, held, library]);

  const hold = { onPointerEnter: () => setHeld(true), onFocus: () => setHeld(true) };
  const release = { onPointerLeave: () => setHeld(false), onBlur: () => setHeld(false) };
  return (
    <div className="toast-place" role="status">
      {notice && (
        <div className="toast" data-testid="toast" {...hold} {...release}>
          <span>{notice.message}</span>
          {notice.undo ? (
            <button
              type="button"
              aria-keyshortcuts="Z"
              onClick={() => {
                setHeld(false);
                library.undo();
              }}
            >
              Undo <kbd>Z</kbd>
            </button>
          ) : (
            <button
              type="button"
              onClick={() => {
                setHeld(false);
                library.finishDeletion();
              }}
            >
              Close
            </button>
          )}
        </div>
      )}
    </div>
  );
}
