// Small forms that are sent to the server: what is wrong stands at its field, and what is wrong beyond the fields above the
// button.
import { useState } from "preact/hooks";
import { ApiError } from "../api";
import type { FieldError } from "../wire";

/** Leads to the first field that needs attention, after the redraw that shows what is wrong. */
export function focusFault(form: HTMLElement | null): void {
  requestAnimationFrame(() =>
    requestAnimationFrame(() => {
      const at = form?.querySelector<HTMLElement>("[aria-invalid=true], .faulty input, .faulty button");
      at?.focus({ preventScroll: true });
      at?.closest(".field, .slot")?.scrollIntoView({ block: "center", behavior: "smooth" });
    }),
  );
}

export interface Sending {
  busy: boolean;
  faults: FieldError[];
  /** What is wrong beyond the fields. */
  trouble: string | null;
  /** Sends once at a time, unless something is `missing` already; true once the server has taken it. */
  send: (missing: FieldError[], what: () => Promise<void>) => Promise<boolean>;
  /** Forgets what was wrong with a field that has been changed. */
  touch: (field: string) => void;
}

export function useSending(): Sending {
  const [busy, setBusy] = useState(false);
  const [faults, setFaults] = useState<FieldError[]>([]);
  const [trouble, setTrouble] = useState<string | null>(null);
  const send = async (missing: FieldError[], what: () => Promise<void>) => {
    if (busy) return false;
    setFaults(missing);
    setTrouble(null);
    if (missing.length > 0) return false;
    setBusy(true);
    try {
      await what();
      return true;
    } catch (error) {
      const fields = error instanceof ApiError ? error.fields : [];
      setFaults(fields);
      if (fields.length === 0) setTrouble(error instanceof Error ? error.message : String(error));
      return false;
    } finally {
      setBusy(false);
    }
  };
  const touch = (field: string) =>
    setFaults((faults) => faults.filter((fault) => fault.field !== field && !fault.field.startsWith(`${field}[`)));
  return { busy, faults, trouble, send, touch };
}

export function Trouble({ text }: { text: string | null }) {
  return text === null ? null : (
    <p class="trouble" role="alert">
      {text}
    </p>
  );
}
