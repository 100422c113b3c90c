import { useCallback, useEffect, useState } from "react";
import { ApiError } from "../api/client";
import { getNotes, listTemplates, type NotesBody, type Template } from "../api/notes";
import { useServices } from "../services";

export type LoadedNotes =
  | { status: "loading" }
  /** There are none, by this template or at all. */
  | { status: "none" }
  | { status: "failed"; error: unknown }
  | { status: "ready"; body: NotesBody };

/** The notes of recording `id` by `template` (null: the newest of all), loaded anew when the server says so. */
export function useNotes(id: string, template: string | null): { notes: LoadedNotes; load: () => Promise<void> } {
  const { library, announcements } = useServices();
  const [notes, setNotes] = useState<LoadedNotes>({ status: "loading" });

  const load = useCallback(async () => {
    try {
      const body = await getNotes(id, template);
      setNotes({ status: "ready", body });
    } catch (error) {
      const missing = error instanceof ApiError && error.status === 404;
      // Notes that are already shown stay, where they are by this template.
      setNotes((before) =>
        before.status === "ready" && !missing && (template === null || before.body.template === template)
          ? before
          : missing
            ? { status: "none" }
            : { status: "failed", error },
      );
    }
  }, [id, template]);

  useEffect(() => {
    void load();
    const stops = [
      // Also with every step of a job: one that is done may have written them.
      library.onChange((changed, change) => changed === id && change !== "deleted" && void load()),
      announcements.onGap((first) => !first && void load()),
    ];
    return () => {
      for (const stop of stops) stop();
    };
  }, [announcements, id, library, load]);

  return { notes, load };
}

/** The templates there are; none while they are not known. */
export function useTemplates(): readonly Template[] {
  const [templates, setTemplates] = useState<readonly Template[]>([]);
  useEffect(() => {
    let gone = false;
    listTemplates().then(
      (found) => !gone && setTemplates(found),
      // Without them there is nothing to choose, and the notes are shown as they are.
      () => undefined,
    );
    return () => {
      gone = true;
    };
  }, []);
  return templates;
}
