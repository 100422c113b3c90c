import type { ReactNode } from "react";
import { audioDownloadUrl, transcriptDownloadUrl, TRANSCRIPT_FORMATS } from "../api/client";
import { NOTES_FORMATS, notesDownloadUrl } from "../api/notes";
import { Menu } from "./Menu";

const NAMES: Readonly<Record<string, string>> = {
  txt: "Text",
  srt: "SRT",
  vtt: "WebVTT",
  json: "JSON",
  md: "Markdown",
  docx: "Word",
  pdf: "PDF",
};

/** Everything a recording can leave as. `template`: that of the notes, null where there are none. */
export function ExportMenu({ id, template }: { id: string; template: string | null }) {
  return (
    <Menu label="Download" testId="export-menu">
      <Group title="Transcript">
        {TRANSCRIPT_FORMATS.map((format) => (
          <File key={format} format={format} url={transcriptDownloadUrl(id, format)} />
        ))}
      </Group>
      {template !== null && (
        <Group title="Notes">
          {NOTES_FORMATS.map((format) => (
            <File key={format} format={format} url={notesDownloadUrl(id, template, format)} />
          ))}
        </Group>
      )}
      <Group title="Sound">
        <a href={audioDownloadUrl(id)} download>
          WAV
        </a>
      </Group>
    </Menu>
  );
}

function Group({ title, children }: { title: string; children: ReactNode }) {
  return (
    <div role="group" aria-label={title}>
      <p>{title}</p>
      <div className="menu-files">{children}</div>
    </div>
  );
}

function File({ format, url }: { format: string; url: string }) {
  return (
    <a href={url} download data-format={format}>
      {NAMES[format]}
    </a>
  );
}
