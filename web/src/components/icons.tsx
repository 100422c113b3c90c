/** Line icons on a 20 px grid, drawn in the colour of the text. */

import type { ReactNode } from "react";

function Icon({ children, size = 20 }: { children: ReactNode; size?: number }) {
  return (
    <svg
      className="icon"
      width={size}
      height={size}
      viewBox="0 0 20 20"
      fill="none"
      stroke="currentColor"
      strokeWidth="1.5"
      strokeLinecap="round"
      strokeLinejoin="round"
      aria-hidden="true"
    >
      {children}
    </svg>
  );
}

export const PlayIcon = () => (
  <Icon size={24}>
    <path
      d="M6.5 4.2v11.6a.6.6 0 0 0 .92.5l9-5.8a.6.6 0 0 0 0-1l-9-5.8a.6.6 0 0 0-.92.5Z"
      fill="currentColor"
      stroke="none"
    />
  </Icon>
);

/** Within a line of text. */
export const PlayMark = () => (
  <Icon size={12}>
    <path d="M5 3.2v13.6l11.5-6.8Z" fill="currentColor" />
  </Icon>
);

export const SearchIcon = () => (
  <Icon>
    <path d="m13 13 4 4M8.5 14.5a6 6 0 1 0 0-12 6 6 0 0 0 0 12Z" />
  </Icon>
);

export const AskIcon = () => (
  <Icon>
    <path d="M16.5 4.5h-13v9h3v3l3.5-3h6.5ZM8.4 7.8c.2-.8.8-1.2 1.6-1.2.9 0 1.6.6 1.6 1.3 0 1-1.5 1.1-1.5 2M10.1 11.6v.1" />
  </Icon>
);

export const AddIcon = () => (
  <Icon>
    <path d="M10 13V3.5M6.2 7.2 10 3.5l3.8 3.7M3.5 12.5v3c0 .6.4 1 1 1h11c.6 0 1-.4 1-1v-3" />
  </Icon>
);

export const SmallPauseIcon = () => (
  <Icon>
    <path d="M7 5v10M13 5v10" />
  </Icon>
);

export const SmallPlayIcon = () => (
  <Icon>
    <path d="M6.5 4.5v11l9-5.5Z" />
  </Icon>
);

export const PauseIcon = () => (
  <Icon size={24}>
    <path d="M5.5 4h2.6v12H5.5zM11.9 4h2.6v12h-2.6z" fill="currentColor" stroke="none" />
  </Icon>
);

export const BackIcon = () => (
  <Icon size={24}>
    <path d="M4.6 6.2a6.9 6.9 0 1 1-1.4 3.4M4.2 2.9v3.5h3.5" strokeWidth="1.25" />
    <Five />
  </Icon>
);

export const ForwardIcon = () => (
  <Icon size={24}>
    <path d="M15.4 6.2a6.9 6.9 0 1 0 1.4 3.4M15.8 2.9v3.5h-3.5" strokeWidth="1.25" />
    <Five />
  </Icon>
);

const Five = () => (
  <path
    d="M11.6 7.9H9.1l-.3 2.5c.4-.3.8-.4 1.2-.4.9 0 1.6.6 1.6 1.5s-.7 1.6-1.6 1.6c-.7 0-1.2-.3-1.5-.8"
    strokeWidth="1.1"
  />
);

export const PencilIcon = () => (
  <Icon>
    <path d="m4 16 .7-3.1 8.2-8.2a1.4 1.4 0 0 1 2 0l.4.4a1.4 1.4 0 0 1 0 2l-8.2 8.2L4 16Z" />
  </Icon>
);

export const BinIcon = () => (
  <Icon>
    <path d="M3.8 5.8h12.4M8 5.5V4.2c0-.4.3-.7.7-.7h2.6c.4 0 .7.3.7.7v1.3M5.2 6l.7 9.6c0 .5.5.9 1 .9h6.2c.5 0 1-.4 1-.9l.7-9.6M8.6 9v4.5M11.4 9v4.5" />
  </Icon>
);

export const ArrowLeftIcon = () => (
  <Icon>
    <path d="M16 10H4.5M9 5l-5 5 5 5" />
  </Icon>
);

export const ArrowRightIcon = () => (
  <Icon>
    <path d="M4 10h11.5M11 5l5 5-5 5" />
  </Icon>
);

export const NoteIcon = () => (
  <Icon>
    <circle cx="10" cy="10" r="7" />
    <path d="M10 9.3v4.2M10 6.6v.1" />
  </Icon>
);

export const TroubleIcon = () => (
  <Icon>
    <path d="M9.1 3.9 2.9 14.7a1 1 0 0 0 .9 1.5h12.4a1 1 0 0 0 .9-1.5L10.9 3.9a1 1 0 0 0-1.8 0ZM10 8.2v3.4M10 13.8v.1" />
  </Icon>
);

export const CloseIcon = () => (
  <Icon>
    <path d="m5 5 10 10M15 5 5 15" />
  </Icon>
);
