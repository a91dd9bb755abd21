// Everything that was made, newest first. What is loaded can be searched; more is loaded on demand.
import { useMemo, useState } from "preact/hooks";
import { useCell } from "../cell";
import { FEATURE_NAMES, number } from "../format";
import { hrefOf } from "../route";
import { list, loadOlder, older } from "../state";
import { useDoing } from "../ui/actions";
import { Cards } from "../ui/card";
import { Choices } from "../ui/field";
import { Icon } from "../ui/icons";
import { ENDED, type Generation } from "../wire";

const FILTERS = {
  all: { label: "All", takes: (one: Generation) => one.data_removed !== true },
  ready: { label: "Ready", takes: (one: Generation) => one.status === "COMPLETED" && one.data_removed !== true },
  live: { label: "In progress", takes: (one: Generation) => !ENDED.has(one.status) },
  failed: {
    label: "Failed or canceled",
    takes: (one: Generation) => (one.status === "FAILED" || one.status === "CANCELED") && one.data_removed !== true,
  },
  deleted: { label: "Deleted", takes: (one: Generation) => one.data_removed === true },
};
type Filter = keyof typeof FILTERS;

/** Every word is looked for in the prompt, the names of the inputs, the workflow, the seed and the id. */
function finds(words: string[], { id, input }: Generation): boolean {
  const inputs = [input.image_url, input.end_image_url, input.video_url, input.audio_url, input.reference_image_url];
  const texts = [id, input.prompt, input.negative_prompt, String(input.seed), FEATURE_NAMES[input.feature], ...inputs];
  const all = [...texts, ...(input.reference_image_urls ?? []), ...(input.video_refs ?? [])].join("\n").toLowerCase();
  return words.every((word) => all.includes(word));
}

export function Gallery() {
  const all = useCell(list);
  const { more } = useCell(older);
  const [search, setSearch] = useState("");
  const [filter, setFilter] = useState<Filter>("all");
  const { busy, problem, run } = useDoing();
  const shown = useMemo(() => {
    const words = search.toLowerCase().split(/\s+/).filter(Boolean);
    return all.filter((one) => FILTERS[filter].takes(one) && finds(words, one));
  }, [all, search, filter]);

  return (
    <main class="page" id="main" tabIndex={-1}>
      <div class="page-head">
        <h1 tabIndex={-1}>Gallery</h1>
        <div class="search">
          <Icon name="search" />
          <input
            type="search"
            aria-label="Search the loaded videos"
            placeholder="Search prompts, files, seeds"
            value={search}
            onInput={(event) => setSearch(event.currentTarget.value)}
          />
        </div>
      </div>
      <Choices
        name="filter"
        label="Show"
        value={filter}
        choices={(Object.keys(FILTERS) as Filter[]).map((value) => ({ value, label: FILTERS[value].label }))}
        onChange={setFilter}
      />
      <p class="unseen" role="status">
        {search !== "" && `${shown.length} found`}
      </p>
      {shown.length > 0 ? (
        <Cards of={shown} />
      ) : (
        <div class="nothing">
          {all.length === 0 ? (
            <>
              <p>Nothing has been made yet.</p>
              <a class="plain main" href={hrefOf({ view: "create" })}>
                <Icon name="spark" /> Make the first video
              </a>
            </>
          ) : (
            <p>{search === "" ? "Nothing here." : `Nothing among the ${number(all.length)} loaded matches “${search}”.`}</p>
          )}
        </div>
      )}
      {more && (
        <div class="load-more">
          <button type="button" class="plain" disabled={busy} onClick={() => run(loadOlder)}>
            {busy ? "Loading …" : "Load older ones"}
          </button>
          {search !== "" && <p class="hint">Only the {number(all.length)} that are loaded are searched.</p>}
        </div>
      )}
      {problem !== null && (
        <p class="fault" role="alert">
          {problem}
        </p>
      )}
    </main>
  );
}
