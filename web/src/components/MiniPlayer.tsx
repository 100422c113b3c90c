import { useEffect } from "react";
import { Link } from "wouter";
import { audioUrl } from "../api/client";
import type { Stretch } from "../playback";
import { useServices, useStretch } from "../services";
import { clock } from "../text/time";
import { CloseIcon, SmallPauseIcon, SmallPlayIcon } from "./icons";
import { usePlayer } from "./usePlayer";

/** Plays a stretch of a recording that is not open, above whatever is at the foot of the page. */
export function MiniPlayer() {
  const stretch = useStretch();
  return stretch ? <Playing key={stretch.recordingId} stretch={stretch} /> : null;
}

function Playing({ stretch }: { stretch: Stretch }) {
  const { playback } = useServices();
  const player = usePlayer(0);
  const { play } = player;
  useEffect(() => play(stretch.startMs, stretch.endMs), [play, stretch]);
  const seconds = Math.floor(player.ms / 1000);
  return (
    <section
      className="mini-player"
      aria-label="Playing"
      data-testid="mini-player"
      data-recording={stretch.recordingId}
    >
      <audio ref={player.audio} src={audioUrl(stretch.recordingId)} preload="auto" />
      <button
        type="button"
        className="quiet-button"
        aria-label={player.playing ? "Pause" : "Play"}
        data-playing={player.playing}
        onClick={player.toggle}
      >
        {player.playing ? <SmallPauseIcon /> : <SmallPlayIcon />}
      </button>
      <p>
        {player.failed ? (
          <span role="alert">The audio could not be loaded.</span>
        ) : (
          <span className="mini-title">{stretch.title}</span>
        )}
        <span className="tabular">{clock(player.ms)}</span>
      </p>
      <Link href={`/recordings/${stretch.recordingId}#t=${seconds}`} className="text-button">
        Open
      </Link>
      <button type="button" className="quiet-button" aria-label="Close" onClick={() => playback.close()}>
        <CloseIcon />
      </button>
    </section>
  );
}
