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
import { cannotRecord, openMicrophone } from "./audio/microphone";
import { Library } from "./recordings/library";
import { ServicesContext } from "./services";
import { liveUrl, LiveSession } from "./session/session";
import { keepAwake } from "./session/wakeLock";

const devices = { cannotRecord, openMicrophone, keepAwake, connect: () => new WebSocket(liveUrl(window.location)) };
const services = { session: new LiveSession(devices), library: new Library() };

createRoot(document.getElementById("root")!).render(
  <StrictMode>
    <ServicesContext value={services}>
      <App />
    </ServicesContext>
  </StrictMode>,
);
