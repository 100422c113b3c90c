import { Link, useRoute } from "wouter";
import { SearchBox } from "../search/SearchBox";
import { useSession } from "../services";
import { isActive } from "../session/state";
import { clock } from "../text/time";
import { AskIcon } from "./icons";

export function Masthead({ onHelp, onAsk }: { onHelp: () => void; onAsk: () => void }) {
  const { phase, capturedMs } = useSession();
  const [atHome] = useRoute("/");
  return (
    <header className="masthead">
      <Link href="/" className="wordmark" aria-label="Parley, to the recordings">
        Parley
      </Link>
      <SearchBox />
      <span className="masthead-end">
        {isActive(phase) && !atHome && (
          <Link href="/" className="on-air">
            <span className="dot" aria-hidden="true" />
            Recording <span className="tabular">{clock(capturedMs)}</span>
          </Link>
        )}
        <button
          type="button"
          className="quiet-button"
          aria-label="Ask"
          aria-keyshortcuts="A"
          data-tip="Ask · A"
          data-testid="ask"
          onClick={onAsk}
        >
          <AskIcon />
        </button>
        <button
          type="button"
          className="quiet-button key-button"
          aria-label="Keyboard shortcuts"
          aria-keyshortcuts="?"
          data-tip="Shortcuts"
          onClick={onHelp}
        >
          <kbd>?</kbd>
        </button>
      </span>
    </header>
  );
}
