import { useEffect, useRef } from "react";
import { Link } from "wouter";
import { CloseIcon } from "./icons";

const SHORTCUTS: readonly [string, string][] = [
  ["R", "Record, or stop recording"],
  ["U", "Add files"],
  ["/", "Search what was said"],
  ["A", "Ask about what was said"],
  ["Space", "Play or pause"],
  ["←", "Back 5 seconds"],
  ["→", "Forward 5 seconds"],
  ["S", "Playing speed"],
  ["E", "Rename the recording"],
  ["Del", "Delete the recording"],
  ["Z", "Undo a deletion"],
  ["Q", "The queue"],
  ["?", "Show this list"],
];

export function Shortcuts({ open, onClose }: { open: boolean; onClose: () => void }) {
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => {
    if (open) dialog.current?.showModal();
    else dialog.current?.close();
  }, [open]);
  return (
    <dialog
      ref={dialog}
      className="sheet"
      aria-labelledby="shortcuts-title"
      onClose={onClose}
      onClick={(event) => event.target === dialog.current && onClose()}
    >
      <div className="sheet-body">
        <header>
          <h2 id="shortcuts-title" tabIndex={-1} autoFocus>
            Keyboard
          </h2>
          <button type="button" className="quiet-button" aria-label="Close" onClick={onClose}>
            <CloseIcon />
          </button>
        </header>
        <dl className="keys">
          {SHORTCUTS.map(([key, what]) => (
            <div key={key}>
              <dt>
                <kbd>{key}</kbd>
              </dt>
              <dd>{what}</dd>
            </div>
          ))}
        </dl>
        <p className="sheet-links">
          <Link href="/jobs" onClick={onClose}>
            Queue
          </Link>
          <Link href="/settings" onClick={onClose}>
            Settings
          </Link>
          <a href="/api/docs">API</a>
        </p>
      </div>
    </dialog>
  );
}
