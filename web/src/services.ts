/** The long-lived objects of the page, made once in `main.tsx`, and the hooks that follow them. */

import { createContext, useContext, useSyncExternalStore } from "react";
import type { Asking } from "./ask/asking";
import type { AskingState } from "./ask/state";
import type { JobBoard } from "./jobs/board";
import type { JobsState } from "./jobs/state";
import type { Playback, Stretch } from "./playback";
import type { Announcements } from "./recordings/announcements";
import type { Library, Notice } from "./recordings/library";
import type { ListState } from "./recordings/list";
import type { Offers } from "./session/offers";
import type { LiveSession } from "./session/session";
import type { Held } from "./session/spool";
import type { SessionState } from "./session/state";
import type { UploadsState } from "./uploads/state";
import type { Unfinished, Uploads } from "./uploads/uploads";

export interface Services {
  session: LiveSession;
  library: Library;
  offers: Offers;
  announcements: Announcements;
  board: JobBoard;
  uploads: Uploads;
  playback: Playback;
  asking: Asking;
}

export const ServicesContext = createContext<Services | null>(null);

export function useServices(): Services {
  const services = useContext(ServicesContext);
  if (!services) throw new Error("There is no ServicesContext above this component.");
  return services;
}

export function useSession(): SessionState {
  const { session } = useServices();
  return useSyncExternalStore(session.subscribe, session.snapshot);
}

export function useOffers(): readonly Held[] {
  const { offers } = useServices();
  return useSyncExternalStore(offers.subscribe, offers.snapshot);
}

export function useList(): ListState {
  const { library } = useServices();
  return useSyncExternalStore(library.subscribe, library.list);
}

export function useNotice(): Notice | null {
  const { library } = useServices();
  return useSyncExternalStore(library.subscribe, library.notice);
}

export function useJobs(): JobsState {
  const { board } = useServices();
  return useSyncExternalStore(board.subscribe, board.snapshot);
}

export function useUploads(): UploadsState {
  const { uploads } = useServices();
  return useSyncExternalStore(uploads.subscribe, uploads.snapshot);
}

export function useUnfinished(): readonly Unfinished[] {
  const { uploads } = useServices();
  return useSyncExternalStore(uploads.subscribe, uploads.unfinished);
}

export function useStretch(): Stretch | null {
  const { playback } = useServices();
  return useSyncExternalStore(playback.subscribe, playback.stretch);
}

export function useAsking(): AskingState {
  const { asking } = useServices();
  return useSyncExternalStore(asking.subscribe, asking.snapshot);
}
