/** Sizes, rates and what is left, as the page writes them: short, and no more exact than they are known. */

const UNITS = ["bytes", "kB", "MB", "GB", "TB"] as const;

/** "640 bytes", "3.1 MB", "412 MB": two figures below ten. Decimal units, as systems show files. */
export function bytes(count: number): string {
  let value = count;
  let unit = 0;
  while (value >= 999.5 && unit < UNITS.length - 1) {
    value /= 1000;
    unit++;
  }
  const figures = unit > 0 && value < 9.95 ? value.toFixed(1) : value.toFixed(0);
  return `${figures} ${UNITS[unit]}`;
}

/** "a few seconds left", "40 s left", "about 3 min left", "about 2 h left". */
export function left(seconds: number): string {
  if (seconds < 8) return "a few seconds left";
  if (seconds < 55) return `${Math.ceil(seconds / 5) * 5} s left`;
  if (seconds < 55 * 60) return `about ${Math.max(1, Math.round(seconds / 60))} min left`;
  const hours = seconds / 3600;
  return hours < 9.5 ? `about ${plain(Math.round(hours * 2) / 2)} h left` : `about ${Math.round(hours)} h left`;
}

/** "1 file", "3 files". */
export function count(number: number, one: string, many = `${one}s`): string {
  return `${number} ${number === 1 ? one : many}`;
}

function plain(number: number): string {
  return number % 1 === 0.5 ? `${Math.floor(number) || ""}½` : String(number);
}
