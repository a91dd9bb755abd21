// What a video looks like so far: asked for as its progress moves, for as long as somebody looks.
import { useEffect, useRef, useState } from "preact/hooks";
import { preview } from "../api";
import type { Generation } from "../wire";

const PAUSE_MS = 1500;
/** An engine that shows nothing is asked less and less. */
const PAUSE_MS_MAX = 24_000;

/** The address of the latest picture; null while there is none. */
export function usePreview({ id, status, progress }: Generation): string | null {
  const [source, setSource] = useState<string | null>(null);
  const running = status === "IN_PROGRESS";
  const owed = useRef(0);
  useEffect(() => {
    // A picture may come a little later than the progress that it belongs to.
    owed.current = 2;
  }, [progress]);
  useEffect(() => {
    if (!running) return;
    const stop = new AbortController();
    let known = "";
    let shown: string | null = null;
    let pause = PAUSE_MS;
    let timer = setTimeout(look, pause);

    async function look(): Promise<void> {
      if (owed.current > 0 && !document.hidden) {
        owed.current -= 1;
        // Without a picture the page is what it is without this: every failure is a reason to wait, and no more.
        const next = await preview(id, known, stop.signal).catch(() => undefined);
        if (stop.signal.aborted) return;
        pause = next === undefined ? Math.min(pause * 2, PAUSE_MS_MAX) : PAUSE_MS;
        if (next != null) {
          if (shown !== null) URL.revokeObjectURL(shown);
          shown = URL.createObjectURL(next.picture);
          known = next.tag;
          setSource(shown);
        }
      }
      timer = setTimeout(look, pause);
    }

    return () => {
      stop.abort();
      clearTimeout(timer);
      if (shown !== null) URL.revokeObjectURL(shown);
      setSource(null);
    };
  }, [id, running]);
  return source;
}
