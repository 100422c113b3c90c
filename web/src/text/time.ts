/** Times and dates as the page writes them. */

/** "0:42", "12:31", from an hour on "1:02:03": the one form of every time and duration, to the nearest second. */
export function clock(ms: number): string {
  const total = wholeSeconds(ms);
  const seconds = pad(total % 60);
  const minutes = Math.floor(total / 60) % 60;
  const hours = Math.floor(total / 3600);
  return hours > 0 ? `${hours}:${pad(minutes)}:${seconds}` : `${minutes}:${seconds}`;
}

/** For ears: "2 minutes 5 seconds". */
export function spokenDuration(ms: number): string {
  const total = wholeSeconds(ms);
  const parts: [number, string][] = [
    [Math.floor(total / 3600), "hour"],
    [Math.floor(total / 60) % 60, "minute"],
    [total % 60, "second"],
  ];
  const said = parts.filter(([count]) => count > 0).map(([count, unit]) => `${count} ${unit}${count === 1 ? "" : "s"}`);
  return said.join(" ") || "0 seconds";
}

/** "Today", "Yesterday", "12 Nov", in other years "Nov 2024": as short as it can be understood at `now`. */
export function day(iso: string, now: Date, locale?: string): string {
  const date = new Date(iso);
  const days = Math.round((midnight(now) - midnight(date)) / 86_400_000);
  if (days === 0) return "Today";
  if (days === 1) return "Yesterday";
  const rest = date.getFullYear() === now.getFullYear() ? { day: "numeric" as const } : { year: "numeric" as const };
  return new Intl.DateTimeFormat(locale, { month: "short", ...rest }).format(date);
}

export function timeOfDay(iso: string, locale?: string): string {
  return new Intl.DateTimeFormat(locale, { hour: "numeric", minute: "2-digit" }).format(new Date(iso));
}

/** "Friday 20 November", in other years "12 November 2024". */
export function longDay(iso: string, now: Date, locale?: string): string {
  const date = new Date(iso);
  const rest = date.getFullYear() === now.getFullYear() ? { weekday: "long" as const } : { year: "numeric" as const };
  return new Intl.DateTimeFormat(locale, { day: "numeric", month: "long", ...rest }).format(date);
}

/** "12 Nov 2026" of a date without a time, YYYY-MM-DD, wherever the reader is. */
export function shortDate(date: string, locale?: string): string {
  const format = new Intl.DateTimeFormat(locale, { day: "numeric", month: "short", year: "numeric", timeZone: "UTC" });
  return format.format(new Date(`${date}T00:00:00Z`));
}

/** The date so many days before `now`, by the reader's calendar: YYYY-MM-DD. */
export function daysAgo(days: number, now: Date): string {
  const date = new Date(now.getFullYear(), now.getMonth(), now.getDate() - days);
  return `${date.getFullYear()}-${pad(date.getMonth() + 1)}-${pad(date.getDate())}`;
}

function midnight(date: Date): number {
  return new Date(date.getFullYear(), date.getMonth(), date.getDate()).getTime();
}

function wholeSeconds(ms: number): number {
  return Math.max(0, Math.round(ms / 1000));
}

function pad(value: number): string {
  return String(value).padStart(2, "0");
}
