import { lazy, Suspense, useEffect, useRef, useState } from "react";
import { Route, Switch, useLocation, useRoute } from "wouter";
import { AskSheet } from "./ask/AskSheet";
import { Masthead } from "./components/Masthead";
import { MiniPlayer } from "./components/MiniPlayer";
import { Shortcuts } from "./components/Shortcuts";
import { Toast } from "./components/Toast";
import { HomePage } from "./pages/HomePage";
import { MissingPage } from "./pages/MissingPage";
import { RecordingPage } from "./pages/RecordingPage";
import { SearchPage } from "./pages/SearchPage";
import { oneAtATime } from "./playback";
import type { Library } from "./recordings/library";
import { useServices, useSession } from "./services";
import { isActive } from "./session/state";
import { clock } from "./text/time";
import { useWhileSending } from "./uploads/UploadList";
import { useKeys } from "./useKeys";

// Few come here, and not first.
const JobsPage = lazy(() => import("./pages/JobsPage"));
const SettingsPage = lazy(() => import("./pages/SettingsPage"));

export function App() {
  const { session, asking } = useServices();
  const library = useAnnouncements();
  const [location, navigate] = useLocation();
  const [helpOpen, setHelpOpen] = useState(false);
  const here = useHere();

  useEffect(oneAtATime, []);
  useWhileSending();
  useFreshPage(location);
  useKeys({
    r: () => {
      navigate("/");
      session.toggle();
    },
    z: () => library.undo(),
    a: () => asking.open(here),
    q: () => navigate("/jobs"),
    "?": () => setHelpOpen(true),
  });

  return (
    <>
      <WhileRecording />
      <Masthead onHelp={() => setHelpOpen(true)} onAsk={() => asking.open(here)} />
      <Suspense fallback={<main tabIndex={-1} className="column" />}>
        <Switch>
          <Route path="/">
            <HomePage />
          </Route>
          <Route path="/recordings/:id">{({ id }) => <RecordingPage key={id} id={id} />}</Route>
          <Route path="/search">
            <SearchPage />
          </Route>
          <Route path="/settings">
            <SettingsPage />
          </Route>
          <Route path="/jobs">
            <JobsPage />
          </Route>
          <Route>
            <MissingPage what="This page does not exist." />
          </Route>
        </Switch>
      </Suspense>
      <AskSheet here={here} />
      <MiniPlayer />
      <Toast />
      <Shortcuts open={helpOpen} onClose={() => setHelpOpen(false)} />
    </>
  );
}

/** What the server announces is followed for as long as the page lives. */
function useAnnouncements(): Library {
  const { announcements, library, board } = useServices();
  useEffect(() => {
    const stops = [library.open(announcements), board.open(announcements), announcements.open()];
    return () => {
      for (const stop of stops) stop();
    };
  }, [announcements, board, library]);
  return library;
}

/** The recording that the page is about: the one that is open, or being made. */
function useHere(): string | null {
  const { phase, recordingId } = useSession();
  const [isOpen, open] = useRoute("/recordings/:id");
  if (isOpen) return open.id;
  return isActive(phase) ? recordingId : null;
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
    // Who searches goes on typing.
    if (document.activeElement?.closest(".search-box")) return;
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
