/** Notes of a recording, and the templates they are written by. */

import { json, path, query, request, ROOT } from "./client";

export interface Point {
  text: string;
  /** Numbers of the segments that it rests on. */
  segments: number[];
}

export interface ActionItem extends Point {
  owner: string | null;
  /** YYYY-MM-DD */
  due: string | null;
}

export interface Chapter {
  title: string;
  start_ms: number;
  end_ms: number;
  segments: number[];
}

export interface Notes {
  title: string;
  summary: Point[];
  key_points: Point[];
  decisions: Point[];
  action_items: ActionItem[];
  chapters: Chapter[];
  diary: Point[];
  /** `extractive`: they are sentences of the transcript. */
  method: "llm" | "extractive";
  provider: string | null;
  model: string | null;
}

export interface NotesBody {
  recording_id: string;
  template: string;
  /** All by which the recording has some, the newest first. */
  templates: string[];
  created_at: string;
  notes: Notes;
}

export interface Template {
  name: string;
  title: string;
  instructions: string;
  built_in: boolean;
}

export const NOTES_FORMATS = ["txt", "md", "docx", "pdf", "json"] as const;
export type NotesFormat = (typeof NOTES_FORMATS)[number];

/** Those by `template`, or the newest of all; 404 where there are none. */
export const getNotes = (id: string, template: string | null): Promise<NotesBody> =>
  request(`${path(id)}/notes${query({ template })}`);

export const notesDownloadUrl = (id: string, template: string, format: NotesFormat): string =>
  `${ROOT}${path(id)}/notes${query({ template, format, download: 1 })}`;

export const listTemplates = async (): Promise<Template[]> =>
  (await request<{ templates: Template[] }>("/templates")).templates;

/** Makes a template of one's own, or replaces it. */
export const saveTemplate = (name: string, title: string, instructions: string): Promise<Template> =>
  request(`/templates/${encodeURIComponent(name)}`, json("PUT", { title, instructions }));

export const deleteTemplate = (name: string): Promise<void> =>
  request(`/templates/${encodeURIComponent(name)}`, { method: "DELETE" });
