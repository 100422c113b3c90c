/** Cuts text where a line may break, so that each unit can be set (and settle) on its own without a line moving. */

export interface Unit {
  text: string;
  /** A blank stands before it. */
  spaced: boolean;
  /** Chinese, Japanese, Korean: never slanted. */
  upright: boolean;
}

const IDEOGRAPH = /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}]/u;
const UPRIGHT = /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Hangul}]/u;
// One ideograph with the marks that may not begin a line, or a run of anything else up to a hyphen or dash.
const PIECE =
  /[「『（《〈“‘]*[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}][、。，．！？：；」』）》〉”’ー〜…]*|[^\s\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}「『（《〈]+?(?:[-–—]+(?=\p{L})|(?=[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}「『（《〈])|$)|\S/gu;

export function units(text: string): Unit[] {
  const result: Unit[] = [];
  for (const word of text.split(/\s+/u).filter(Boolean)) {
    const pieces = IDEOGRAPH.test(word) || /[-–—]\p{L}/u.test(word) ? (word.match(PIECE) ?? [word]) : [word];
    pieces.forEach((piece, i) => {
      result.push({ text: piece, spaced: i === 0 && result.length > 0, upright: UPRIGHT.test(piece) });
    });
  }
  return result;
}
