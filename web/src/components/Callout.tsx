import type { ReactNode } from "react";
import { NoteIcon, TroubleIcon } from "./icons";

interface Props {
  tone: "note" | "trouble";
  /** Machine-readable reason, for styles and tests. */
  code?: string;
  children: ReactNode;
  action?: ReactNode;
}

/** Something the reader has to know, in the column of the text: a sentence or two and at most one action. */
export function Callout({ tone, code, children, action }: Props) {
  return (
    <aside
      className={`callout ${tone}`}
      data-testid="notice"
      data-code={code}
      role={tone === "trouble" ? "alert" : "note"}
    >
      {tone === "trouble" ? <TroubleIcon /> : <NoteIcon />}
      <div>{children}</div>
      {action}
    </aside>
  );
}
