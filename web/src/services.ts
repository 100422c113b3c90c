/** The long-lived objects of the page, made once in `main.tsx`, and the hooks that follow them. */

import { createContext, useContext, useSyncExternalStore } from "react";
import type { Library, Notice } from "./recordings/library";
import type { ListState } from "./recordings/list";
import type { Offers } from "./session/offers";
import type { LiveSession } from "./session/session";
import type { Held } from "./session/spool";
import type { SessionState } from "./session/state";

export interface Services {
  session: LiveSession;
  library: Library;
  offers: Offers;
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
