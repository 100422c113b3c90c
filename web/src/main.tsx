import "@fontsource-variable/inter/wght.css";
import "@fontsource-variable/literata/wght.css";
import "./styles/tokens.css";
import "./styles/base.css";
import "./styles/dock.css";
import "./styles/live.css";
import "./styles/list.css";
import "./styles/recording.css";
import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { App } from "./App";
import { cannotRecord, openMicrophone, prepareMicrophone } from "./audio/microphone";
import { Library } from "./recordings/library";
import { ServicesContext } from "./services";
import { locks } from "./session/locks";
import { Offers } from "./session/offers";
import { liveUrl, LiveSession } from "./session/session";
import { Spool } from "./session/spool";
import { keepAwake } from "./session/wakeLock";

// Without locks a page could not tell what another one is recording from what was interrupted.
const spool = "locks" in navigator ? Spool.open().catch(() => null) : Promise.resolve(null);
const connect = (): WebSocket => new WebSocket(liveUrl(window.location));
const services = {
  session: new LiveSession({ cannotRecord, openMicrophone, keepAwake, connect, spool, locks }),
  library: new Library(),
  offers: new Offers(spool, locks),
};

prepareMicrophone();
createRoot(document.getElementById("root")!).render(
  <StrictMode>
    <ServicesContext value={services}>
      <App />
    </ServicesContext>
  </StrictMode>,
);
