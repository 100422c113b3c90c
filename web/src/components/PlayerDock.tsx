import { useEffect, useRef, type CSSProperties } from "react";
import { clock, spokenDuration } from "../text/time";
import { Dock } from "./Dock";
import { BackIcon, ForwardIcon, PauseIcon, PlayIcon } from "./icons";
import { SEEK_MS, type Player } from "./usePlayer";

export function PlayerDock({ player, src }: { player: Player; src: string }) {
  return (
    <Dock
      label="Player"
      testId="player"
      line={<SeekLine player={player} />}
      start={
        <>
          <audio ref={player.audio} src={src} preload="metadata" />
          <time className="clock" data-testid="elapsed" aria-label={spokenDuration(player.ms)}>
            {clock(player.ms)}
          </time>
        </>
      }
      controls={
        <>
          <button
            type="button"
            className="quiet-button skip"
            aria-label="Back 5 seconds"
            aria-keyshortcuts="ArrowLeft"
            data-tip="Back 5 s · ←"
            onClick={() => player.skip(-SEEK_MS)}
          >
            <BackIcon />
          </button>
          <button
            type="button"
            className="play-button"
            data-testid="play-button"
            data-playing={player.playing}
            aria-label={player.playing ? "Pause" : "Play"}
            aria-keyshortcuts="Space"
            data-tip={`${player.playing ? "Pause" : "Play"} · Space`}
            disabled={player.failed}
            onClick={player.toggle}
          >
            {player.playing ? <PauseIcon /> : <PlayIcon />}
          </button>
          <button
            type="button"
            className="quiet-button skip"
            aria-label="Forward 5 seconds"
            aria-keyshortcuts="ArrowRight"
            data-tip="Forward 5 s · →"
            onClick={() => player.skip(SEEK_MS)}
          >
            <ForwardIcon />
          </button>
        </>
      }
      end={
        player.failed ? (
          <div className="connection">
            <p role="alert">The audio could not be loaded</p>
            <button type="button" className="link-button" onClick={player.retry}>
              Try again
            </button>
          </div>
        ) : (
          <>
            <button
              type="button"
              className="quiet-button speed tabular"
              aria-label={`Speed ${player.speed}`}
              aria-keyshortcuts="S"
              data-tip="Speed · S"
              onClick={player.nextSpeed}
            >
              {player.speed}×
            </button>
            <time className="clock at-rest" aria-label={`of ${spokenDuration(player.durationMs)}`}>
              {clock(player.durationMs)}
            </time>
          </>
        )
      }
    />
  );
}

/** The same dock, before it is known what to play. */
export function PlayerDockSkeleton() {
  return (
    <Dock
      label="Player"
      line={null}
      start={<time className="clock at-rest">{clock(0)}</time>}
      controls={
        <button type="button" className="play-button" aria-label="Play" disabled>
          <PlayIcon />
        </button>
      }
      end={null}
    />
  );
}

/** The hairline as a slider. The line moves with every frame, the slider's value ten times a second. */
function SeekLine({ player }: { player: Player }) {
  const { onFrame, durationMs } = player;
  const line = useRef<HTMLDivElement>(null);
  useEffect(
    () =>
      onFrame((ms) => {
        line.current?.style.setProperty("--place", String(durationMs ? Math.min(1, ms / durationMs) : 0));
      }),
    [onFrame, durationMs],
  );
  return (
    <div ref={line} className="seek-line" style={{ "--place": 0 } as CSSProperties}>
      <input
        type="range"
        aria-label="Place in the recording"
        aria-valuetext={`${clock(player.ms)} of ${clock(durationMs)}`}
        min={0}
        max={Math.max(1, Math.floor(durationMs))}
        step={100}
        value={Math.min(player.ms, durationMs)}
        onChange={(event) => player.seek(event.currentTarget.valueAsNumber)}
        onKeyDown={(event) => {
          const by = { ArrowLeft: -SEEK_MS, ArrowDown: -SEEK_MS, ArrowRight: SEEK_MS, ArrowUp: SEEK_MS }[event.key];
          if (by === undefined) return;
          event.preventDefault();
          player.skip(by);
        }}
      />
    </div>
  );
}
