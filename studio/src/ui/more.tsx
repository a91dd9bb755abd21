// What is folded away until it is wanted: opened by the page where there is something to see, closed by the person only.
import type { ComponentChildren } from "preact";
import { useLayoutEffect, useRef } from "preact/hooks";

interface Props {
  summary: ComponentChildren;
  /** Whether there is something to see, such as a fault. When that is over, nobody's field is folded away under their hands. */
  wanted: boolean;
  children: ComponentChildren;
}

export function More({ summary, wanted, children }: Props) {
  const details = useRef<HTMLDetailsElement>(null);
  // Before the page is drawn: whoever goes to the fault can go there only when it is open.
  useLayoutEffect(() => {
    if (wanted && details.current !== null) details.current.open = true;
  }, [wanted]);
  return (
    <details class="more" ref={details}>
      <summary>{summary}</summary>
      {children}
    </details>
  );
}
