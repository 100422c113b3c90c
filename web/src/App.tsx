import { useEffect, useRef, useState } from "react";
import { Route, Switch, useLocation } from "wouter";
import { Masthead } from "./components/Masthead";
import { Shortcuts } from "./components/Shortcuts";
import { Toast } from "./components/Toast";
import { HomePage } from "./pages/HomePage";
import { MissingPage } from "./pages/MissingPage";
import { RecordingPage } from "./pages/RecordingPage";
import { useServices, useSession } from "./services";
import { isActive } from "./session/state";
import { clock } from "./text/time";
import { useKeys } from "./useKeys";

export function App() {
  const { session, library } = useServices();
  const [location, navigate] = useLocation();
  const [helpOpen, setHelpOpen] = useState(false);

  useEffect(() => library.open(), [library]);
  useFreshPage(location);
  useKeys({
    r: () => {
      navigate("/");
      session.toggle();
    },
    z: () => library.undo(),
    "?": () => setHelpOpen(true),
  });

  return (
    <>
      <WhileRecording />
      <Masthead onHelp={() => setHelpOpen(true)} />
      <Switch>
        <Route path="/">
          <HomePage />
        </Route>
        <Route path="/recordings/:id">{({ id }) => <RecordingPage key={id} id={id} />}</Route>
        <Route>
          <MissingPage what="This page does not exist." />
        </Route>
      </Switch>
      <Toast />
      <Shortcuts open={helpOpen} onClose={() => setHelpOpen(false)} />
    </>
  );
}

/** A page that was navigated to begins at its top, with the focus on it; going back is left to the browser. */
function useFreshPage(location: string): void {
  const before = useRef(location);
  const goingBack = useRef(false);
  useEffect(() => {
    const onBack = (): void => {
      goingBack.current = true;
    };
    window.addEventListener("popstate", onBack);
    return () => window.removeEventListener("popstate", onBack);
  }, []);
  useEffect(() => {
    if (before.current === location) return;
    before.current = location;
    if (!goingBack.current) window.scrollTo({ top: 0, behavior: "instant" });
    goingBack.current = false;
    document.querySelector("main")?.focus({ preventScroll: true });
  }, [location]);
}

/**
 * While recording, the tab says so and does not close without asking; the list has the recording at once; and what the
 * browser knows of the network and of leaving the page is acted upon.
 */
function WhileRecording() {
  const { session, library } = useServices();
  const { phase, capturedMs, keptMs, recordingId } = useSession();
  const active = isActive(phase);
  const time = clock(capturedMs);

  useEffect(() => {
    if (!active) return;
    const ask = (event: BeforeUnloadEvent): void => {
      session.flush();
      event.preventDefault();
    };
    window.addEventListener("beforeunload", ask);
    return () => window.removeEventListener("beforeunload", ask);
  }, [active, session]);

  useEffect(() => {
    const onVisibility = (): void => {
      if (document.visibilityState === "hidden") return session.flush();
      session.retryNow();
    };
    document.addEventListener("visibilitychange", onVisibility);
    window.addEventListener("pagehide", session.flush);
    window.addEventListener("online", session.retryNow);
    return () => {
      window.removeEventListener("online", session.retryNow);
      window.removeEventListener("pagehide", session.flush);
      document.removeEventListener("visibilitychange", onVisibility);
    };
  }, [session]);

  useEffect(() => {
    if (!active) return;
    const before = document.title;
    document.title = `${time} recording · Parley`;
    return () => {
      document.title = before;
    };
  }, [active, time]);

  useEffect(() => {
    if (recordingId && (phase === "live" || phase === "closed" || phase === "lost")) void library.refresh(recordingId);
  }, [library, phase, recordingId]);

  useEffect(() => {
    if (recordingId && phase === "lost") library.lost(recordingId, keptMs);
  }, [keptMs, library, phase, recordingId]);

  useEffect(() => library.onChange((id, change) => change === "deleted" && session.clear(id)), [library, session]);
  return null;
}
