/** What the names of the tables begin with. It goes into the text of statements, so nothing else may. */
const valid = /^[a-z_][a-z0-9_]{0,30}$/

/** The prefix that was asked for. Throws when it cannot be one. */
export const prefixOf = ({ prefix = "saga_" }: { readonly prefix?: string | undefined }): string => {
  if (valid.test(prefix)) return prefix
  throw new TypeError(
    `The names of tables cannot begin with "${prefix}": use lower-case letters, digits and _, at most 31 of them`
  )
}
