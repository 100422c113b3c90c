import "@fontsource-variable/inter/wght.css";
import "@fontsource-variable/literata/wght.css";
import "./styles/tokens.css";
import "./styles/base.css";
import "./styles/dock.css";
import "./styles/live.css";
import "./styles/list.css";
import "./styles/recording.css";
import "./styles/adding.css";
import "./styles/notes.css";
import "./styles/jobs.css";
import "./styles/search.css";
import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { App } from "./App";
import { cannotRecord, openMicrophone, prepareMicrophone } from "./audio/microphone";
import { Asking } from "./ask/asking";
import { JobBoard } from "./jobs/board";
import { Playback } from "./playback";
import { Announcements } from "./recordings/announcements";
import { Library } from "./recordings/library";
import { ServicesContext } from "./services";
import { locks } from "./session/locks";
import { Offers } from "./session/offers";
import { liveUrl, LiveSession } from "./session/session";
import { Spool } from "./session/spool";
import { keepAwake } from "./session/wakeLock";
import { Uploads } from "./uploads/uploads";

// Without locks a page could not tell what another one is recording from what was interrupted.
const spool = "locks" in navigator ? Spool.open().catch(() => null) : Promise.resolve(null);
const connect = (): WebSocket => new WebSocket(liveUrl(window.location));
const library = new Library();
const board = new JobBoard((message) => library.say(message));
const uploads = new Uploads(({ recordingId }) => {
  if (recordingId === null) return void library.load();
  void library.refresh(recordingId);
  void board.findFor(recordingId);
});
const services = {
  session: new LiveSession({ cannotRecord, openMicrophone, keepAwake, connect, spool, locks }),
  library,
  offers: new Offers(spool, locks),
  announcements: new Announcements(),
  board,
  uploads,
  playback: new Playback(),
  asking: new Asking(),
};

prepareMicrophone();
createRoot(document.getElementById("root")!).render(
  <StrictMode>
    <ServicesContext value={services}>
      <App />
    </ServicesContext>
  </StrictMode>,
);
