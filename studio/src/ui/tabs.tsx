// A few views of the same place, one at a time, steered by arrow keys as tabs are.
import type { ComponentChildren } from "preact";
import { useState } from "preact/hooks";

interface Props<T extends string> {
  /** Tells the tabs of a page apart. */
  id: string;
  label: string;
  names: readonly T[];
  children: (name: T) => ComponentChildren;
}

export function Tabs<T extends string>({ id, label, names, children }: Props<T>) {
  const [current, setCurrent] = useState<T>(names[0]!);
  return (
    <div class="tabbed">
      <div class="tabs" role="tablist" aria-label={label} onKeyDown={(event) => stepTabs(event, id, names, current, setCurrent)}>
        {names.map((name, index) => (
          <button
            key={name}
            type="button"
            role="tab"
            id={`${id}-${index}`}
            aria-selected={name === current}
            aria-controls={`${id}-panel`}
            tabIndex={name === current ? 0 : -1}
            onClick={() => setCurrent(name)}
          >
            {name}
          </button>
        ))}
      </div>
      <div id={`${id}-panel`} role="tabpanel" aria-labelledby={`${id}-${names.indexOf(current)}`}>
        {children(current)}
      </div>
    </div>
  );
}

/** Left and right go to the neighbours, and around. */
function stepTabs<T>(event: KeyboardEvent, id: string, names: readonly T[], current: T, choose: (name: T) => void): void {
  const by = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
  if (by === undefined) return;
  event.preventDefault();
  const next = (names.indexOf(current) + by + names.length) % names.length;
  choose(names[next]!);
  document.getElementById(`${id}-${next}`)?.focus();
}
