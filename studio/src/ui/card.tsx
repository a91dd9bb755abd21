// Generations as small pictures in a grid.
import { local } from "../api";
import { STATE_NAMES, seconds, stageName, titleOf, when } from "../format";
import { hrefOf } from "../route";
import { ENDED, type Generation } from "../wire";
import { Actions } from "./actions";
import { Icon, type IconName } from "./icons";

export function Cards({ of, small = false }: { of: Generation[]; small?: boolean }) {
  return (
    <ul class={`cards ${small ? "small" : ""}`}>
      {of.map((generation) => (
        <li key={generation.id}>
          <Card of={generation} small={small} />
        </li>
      ))}
    </ul>
  );
}

const ICONS: Record<Generation["status"], IconName> = {
  IN_QUEUE: "clip",
  IN_PROGRESS: "clip",
  COMPLETED: "clip",
  FAILED: "warn",
  CANCELED: "stop",
};

function Card({ of, small }: { of: Generation; small: boolean }) {
  const title = titleOf(of);
  const file = of.data?.videos[0];
  const live = !ENDED.has(of.status);
  const state = of.data_removed === true ? "Deleted" : STATE_NAMES[of.status];
  return (
    <article class={`card ${of.status.toLowerCase()}`}>
      <a class="picture" href={hrefOf({ view: "one", id: of.id })}>
        <span class="unseen">{title}, </span>
        {file !== undefined ? (
          <img src={local(file.poster_url)} alt="" loading="lazy" decoding="async" />
        ) : (
          <Icon name={of.data_removed === true ? "trash" : ICONS[of.status]} />
        )}
        {of.status !== "COMPLETED" && <span class="badge">{live ? stageName(of.stage) : state}</span>}
        {file !== undefined && <span class="badge length">{seconds(file.duration)}</span>}
        {live && <progress max={100} value={Math.round(of.progress * 100)} aria-label={`Progress: ${title}`} />}
      </a>
      {!small && (
        <>
          <p class="card-title" title={title}>
            {title}
          </p>
          <div class="card-foot">
            <time dateTime={of.created_at} class="hint">
              {when(of.created_at)}
            </time>
            <Actions of={of} title={title} brief />
          </div>
        </>
      )}
    </article>
  );
}
