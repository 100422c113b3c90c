import { useEffect, type CSSProperties } from "react";
import { Prose } from "../components/Prose";
import { CloseIcon, SmallPauseIcon, SmallPlayIcon } from "../components/icons";
import { useServices, useUnfinished, useUploads } from "../services";
import { bytes, left } from "../text/amounts";
import { percentSent, secondsLeft, speed, type FileUpload } from "./state";
import { unfinishedPhrase, type Unfinished } from "./uploads";

/** Files on their way, and those that an earlier page did not send to their end. */
export function UploadList() {
  const uploads = useUploads();
  const unfinished = useUnfinished();
  if (uploads.length === 0 && unfinished.length === 0) return null;
  return (
    <ul className="upload-list" data-testid="upload-list" aria-label="Files on their way">
      {uploads.map((upload) => (
        <Row key={upload.key} upload={upload} />
      ))}
      {unfinished.map((one) => (
        <UnfinishedRow key={one.key} unfinished={one} />
      ))}
    </ul>
  );
}

function Row({ upload }: { upload: FileUpload }) {
  const { uploads } = useServices();
  const percent = percentSent(upload);
  const refused = upload.phase === "refused";
  return (
    <li
      className="upload-item"
      data-testid="upload-item"
      data-phase={upload.phase}
      style={{ "--done": percent / 100 } as CSSProperties}
    >
      <div className="upload-words">
        <p className="upload-name">{upload.name}</p>
        <p className="upload-state" role={refused ? "alert" : undefined} data-testid="upload-state">
          <Prose text={stateOf(upload)} />
        </p>
      </div>
      <span className="upload-actions">
        {(upload.phase === "sending" || upload.phase === "away" || upload.phase === "waiting") && (
          <button
            type="button"
            className="quiet-button"
            aria-label={`Pause “${upload.name}”`}
            data-tip="Pause"
            onClick={() => uploads.pause(upload.key)}
          >
            <SmallPauseIcon />
          </button>
        )}
        {upload.phase === "paused" && (
          <button
            type="button"
            className="quiet-button"
            aria-label={`Go on with “${upload.name}”`}
            data-tip="Go on"
            onClick={() => uploads.goOn(upload.key)}
          >
            <SmallPlayIcon />
          </button>
        )}
        <button
          type="button"
          className="quiet-button"
          aria-label={refused ? `Close the message about “${upload.name}”` : `Cancel “${upload.name}”`}
          data-tip={refused ? "Close" : "Cancel"}
          onClick={() => uploads.cancel(upload.key)}
        >
          <CloseIcon />
        </button>
      </span>
      {!refused && (
        <div
          className="progress-line"
          role="progressbar"
          aria-label={`Sending “${upload.name}”`}
          aria-valuenow={percent}
          aria-valuemin={0}
          aria-valuemax={100}
        />
      )}
    </li>
  );
}

function stateOf(upload: FileUpload): string {
  const sent = `${percentSent(upload)} % of ${bytes(upload.size)}`;
  switch (upload.phase) {
    case "waiting":
      return `Waits for its turn, ${bytes(upload.size)}`;
    case "sending": {
      const rate = speed(upload);
      const rest = secondsLeft(upload);
      if (percentSent(upload) === 100) return "All sent; the server looks at it";
      return [sent, rate !== null && `${bytes(rate)}/s`, rest !== null && left(rest)].filter(Boolean).join(" · ");
    }
    case "paused":
      return `Paused at ${sent}`;
    case "away":
      return `${upload.problem} It goes on by itself from ${sent}.`;
    case "refused":
      return upload.problem;
  }
}

function UnfinishedRow({ unfinished }: { unfinished: Unfinished }) {
  const { uploads } = useServices();
  return (
    <li className="upload-item" data-testid="unfinished" data-phase="unfinished">
      <div className="upload-words">
        <p className="upload-state">
          {unfinishedPhrase(unfinished)} Choose or drop it again, and it goes on from there.
        </p>
      </div>
      <span className="upload-actions">
        <button
          type="button"
          className="quiet-button"
          aria-label={`Forget “${unfinished.name}”`}
          data-tip="Forget it"
          onClick={() => void uploads.forget(unfinished)}
        >
          <CloseIcon />
        </button>
      </span>
    </li>
  );
}

/** What earlier pages left, looked for when somebody may see it. */
export function useFreshUnfinished(): void {
  const { uploads } = useServices();
  useEffect(() => void uploads.findUnfinished(), [uploads]);
}

/** The tab does not close without asking, and what waits for a connection tries again when it may be back. */
export function useWhileSending(): void {
  const { uploads } = useServices();
  useEffect(() => {
    const ask = (event: BeforeUnloadEvent): void => {
      if (uploads.busy) event.preventDefault();
    };
    window.addEventListener("beforeunload", ask);
    window.addEventListener("online", uploads.retryNow);
    return () => {
      window.removeEventListener("online", uploads.retryNow);
      window.removeEventListener("beforeunload", ask);
    };
  }, [uploads]);
}
