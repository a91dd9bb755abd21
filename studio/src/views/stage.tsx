// Beside the form: the generation that was sent last, and the ones before it.
import { useCell } from "../cell";
import { RATIOS, titleOf } from "../format";
import { hrefOf } from "../route";
import { draft, list, staged } from "../state";
import { Cards } from "../ui/card";
import { Icon } from "../ui/icons";
import { Result, shape } from "../ui/result";
import { ENDED } from "../wire";

const RECENT_MAX = 6;

export function Stage() {
  const id = useCell(staged);
  const all = useCell(list);
  const { aspect } = useCell(draft);
  const current = all.find((one) => one.id === id);
  const recent = all.filter((one) => one.id !== id && (one.data !== null || !ENDED.has(one.status))).slice(0, RECENT_MAX);
  return (
    <section class="stage" id="stage" aria-label="Result">
      {current === undefined ? (
        <div class="screen empty waiting" style={shape(RATIOS[aspect === "" ? "16:9" : aspect])}>
          <Icon name="clip" />
          <p>Your video will appear here.</p>
        </div>
      ) : (
        <>
          <h2 class="result-title">{titleOf(current)}</h2>
          <Result of={current} />
        </>
      )}
      {recent.length > 0 && (
        <section class="recent" aria-label="Recent videos">
          <div class="section-head">
            <h2>Recent</h2>
            <a href={hrefOf({ view: "gallery" })}>See all</a>
          </div>
          <Cards of={recent} small />
        </section>
      )}
    </section>
  );
}
