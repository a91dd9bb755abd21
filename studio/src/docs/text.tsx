// Sentences with `names` in them.
import type { ComponentChildren } from "preact";

export function Text({ of }: { of: string }): ComponentChildren {
  return of.split("`").map((part, index) => (index % 2 === 1 ? <code key={index}>{part}</code> : part));
}
