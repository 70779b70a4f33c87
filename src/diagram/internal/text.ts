/**
 * Text on its way to a screen: what cannot be seen made visible, columns counted, times in words. It never knows what
 * the text is about.
 */

/** Control characters and marks that change the direction of text, percent-encoded as in a path; no half characters. */
export const visible = (text: string): string =>
  text.replaceAll(/\p{Cs}/gu, "\ufffd").replaceAll(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, encodeURIComponent)

const zeroWidth = /\p{M}/u
const doubleWidth =
  /[\u{1100}-\u{115f}\u{2e80}-\u{303e}\u{3041}-\u{a4cf}\u{ac00}-\u{d7a3}\u{f900}-\u{faff}\u{fe30}-\u{fe6f}\u{ff00}-\u{ff60}\u{ffe0}-\u{ffe6}\u{20000}-\u{3fffd}]|\p{Emoji_Presentation}/u

const columnsOfChar = (char: string): number => zeroWidth.test(char) ? 0 : doubleWidth.test(char) ? 2 : 1

/** How many columns of a terminal a text takes. */
export const columnsOf = (text: string): number => {
  let columns = 0
  for (const char of text) columns += columnsOfChar(char)
  return columns
}

/** The longest beginning of a text, or with its characters reversed the longest end, that fits. */
const beginning = (chars: ReadonlyArray<string>, columns: number): ReadonlyArray<string> => {
  let used = 0
  const end = chars.findIndex((char) => (used += columnsOfChar(char)) > columns)
  return end === -1 ? chars : chars.slice(0, end)
}

/** A text cut down to so many columns: in the middle, because the end of a path says more than its middle. */
export const fit = (text: string, columns: number): string => {
  if (columnsOf(text) <= columns) return text
  const chars = Array.from(text)
  const tail = [...beginning([...chars].reverse(), Math.floor((columns - 1) / 2))].reverse()
  return [...beginning(chars, columns - 1 - columnsOf(tail.join(""))), "…", ...tail].join("")
}

/** A text filled up to so many columns. */
export const pad = (text: string, columns: number): string => text + " ".repeat(Math.max(0, columns - columnsOf(text)))

/** A text in lines of at most so many columns, broken at blanks; a word that is longer has a line of its own. */
export const wrap = (text: string, columns: number): ReadonlyArray<string> => {
  const [first = "", ...words] = text.split(" ")
  const lines = [first]
  for (const word of words) {
    const longer = `${lines.at(-1)} ${word}`
    if (columnsOf(longer) > columns) lines.push(word)
    else lines[lines.length - 1] = longer
  }
  return lines
}

const units = [["d", 86_400_000], ["h", 3_600_000], ["min", 60_000]] as const

/** A time in its two largest units: `12 ms`, `1.25 s`, `3 min 20 s`. */
export const timeOf = (millis: number): string => {
  if (millis < 1000) return `${Math.round(millis)} ms`
  if (millis < 60_000) return `${Number((millis / 1000).toFixed(2))} s`
  const at = units.findIndex(([, size]) => millis >= size)
  const [name, size] = units[at]!
  const [smallerName, smallerSize] = units[at + 1] ?? ["s", 1000]
  const rest = Math.floor(millis % size / smallerSize)
  return `${Math.floor(millis / size)} ${name}${rest === 0 ? "" : ` ${rest} ${smallerName}`}`
}
