// One observable value, and the hook that redraws with it. The pages need no more state machinery than this.
import { useEffect, useState } from "preact/hooks";

export class Cell<T> {
  private readonly watchers = new Set<() => void>();

  constructor(private current: T) {}

  get value(): T {
    return this.current;
  }

  set(next: T | ((current: T) => T)): void {
    const value = typeof next === "function" ? (next as (current: T) => T)(this.current) : next;
    if (Object.is(value, this.current)) return;
    this.current = value;
    for (const watcher of [...this.watchers]) watcher();
  }

  watch(watcher: () => void): () => void {
    this.watchers.add(watcher);
    return () => this.watchers.delete(watcher);
  }
}

export function useCell<T>(cell: Cell<T>): T {
  const [, show] = useState<T>(cell.value);
  useEffect(() => {
    const take = () => show(() => cell.value);
    // It may have changed between the drawing and this.
    take();
    return cell.watch(take);
  }, [cell]);
  return cell.value;
}
