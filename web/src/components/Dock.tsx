import type { ReactNode } from "react";

interface Props {
  /** The hairline on top: the voice while recording, the place while playing. */
  line: ReactNode;
  start: ReactNode;
  controls: ReactNode;
  end: ReactNode;
  label: string;
  testId?: string;
}

/** Where the hands are: always at the foot of the page, always in the same order. */
export function Dock({ line, start, controls, end, label, testId }: Props) {
  return (
    <section className="dock" aria-label={label} data-testid={testId}>
      <div className="dock-line">{line}</div>
      <div className="dock-row">
        <div className="dock-start">{start}</div>
        <div className="dock-controls">{controls}</div>
        <div className="dock-end">{end}</div>
      </div>
    </section>
  );
}
