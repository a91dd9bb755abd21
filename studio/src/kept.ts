// The files that went into the last generations, kept in this browser: the server does not give inputs back, and "try
// again with a new seed" should not ask for them. What is kept is bounded; losing it costs a click, no more.

const GENERATIONS_MAX = 40;
const BYTES_MAX = 300 << 20;

interface Kept {
  id: string;
  at: number;
  bytes: number;
  files: Map<string, File[]>;
}

function open(): Promise<IDBDatabase> {
  return new Promise((resolve, reject) => {
    const request = indexedDB.open("kinora-inputs", 1);
    request.onupgradeneeded = () => request.result.createObjectStore("inputs", { keyPath: "id" });
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}

function done<T>(request: IDBRequest<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}

/** Keeps the files of a generation, and lets go of the oldest where there are too many. */
export async function keep(id: string, entries: [string, File][]): Promise<void> {
  if (entries.length === 0) return;
  const files = new Map<string, File[]>();
  for (const [field, file] of entries) files.set(field, [...(files.get(field) ?? []), file]);
  const bytes = entries.reduce((sum, [, file]) => sum + file.size, 0);
  try {
    const store = (await open()).transaction("inputs", "readwrite").objectStore("inputs");
    const kept: Kept = { id, at: Date.now(), bytes, files };
    await done(store.put(kept));
    const all = ((await done(store.getAll())) as Kept[]).sort((a, b) => b.at - a.at);
    let total = 0;
    all.forEach((one, index) => {
      total += one.bytes;
      if (index >= GENERATIONS_MAX || total > BYTES_MAX) store.delete(one.id);
    });
  } catch {
    // Private windows and full disks have no store; the person is asked for the file again.
  }
}

/** The files of a generation by member, as far as they are still here. */
export async function keptOf(id: string): Promise<ReadonlyMap<string, File[]>> {
  try {
    const store = (await open()).transaction("inputs").objectStore("inputs");
    return ((await done(store.get(id))) as Kept | undefined)?.files ?? new Map<string, File[]>();
  } catch {
    return new Map<string, File[]>();
  }
}

export async function forget(id: string): Promise<void> {
  try {
    await done((await open()).transaction("inputs", "readwrite").objectStore("inputs").delete(id));
  } catch {
    // Nothing was kept.
  }
}

export async function forgetAll(): Promise<void> {
  try {
    await done((await open()).transaction("inputs", "readwrite").objectStore("inputs").clear());
  } catch {
    // Nothing was kept.
  }
}
