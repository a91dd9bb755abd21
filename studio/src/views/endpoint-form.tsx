// The form of a webhook endpoint, new or changed, and how its members are called.
import { useRef, useState } from "preact/hooks";
import { call } from "../api";
import { Dialog } from "../ui/dialog";
import { Choices, FaultText, Field } from "../ui/field";
import { Trouble, focusFault, useSending } from "../ui/form";
import { EVENTS, type Endpoint, type FieldError, type WebhookEvent } from "../wire";

const EVENT_NAMES: Record<WebhookEvent, string> = {
  "task.created": "Accepted",
  "task.started": "Begun",
  "task.completed": "Ready",
  "task.failed": "Failed",
  "task.canceled": "Canceled",
};

/** How an event is called; the log has one more, of tests. */
export function eventName(type: string): string {
  return type === "webhook.test" ? "Test" : (EVENT_NAMES[type as WebhookEvent] ?? type);
}

export function eventsOf({ events }: Endpoint): string {
  return events.length === 0 ? "All events" : events.map(eventName).join(", ");
}

export function StateBadge({ of }: { of: Endpoint }) {
  if (of.enabled) return <span class="badge">Enabled</span>;
  return <span class={`badge ${of.disabled_reason === null ? "quietly" : "bad"}`}>Disabled</span>;
}

/** The API takes no events for all of them, which boxes without a tick do not say: so it is asked for. */
type Which = "all" | "some";

interface Props {
  /** The one to be changed; a new one where there is none. */
  of?: Endpoint;
  onClose: () => void;
  onKept: (endpoint: Endpoint) => void;
}

export function EndpointForm({ of, onClose, onKept }: Props) {
  const [url, setUrl] = useState(of?.url ?? "");
  const [description, setDescription] = useState(of?.description ?? "");
  const [which, setWhich] = useState<Which>((of?.events.length ?? 0) > 0 ? "some" : "all");
  const [events, setEvents] = useState<WebhookEvent[]>(of?.events ?? []);
  const { busy, faults, trouble, send, touch } = useSending();
  const form = useRef<HTMLFormElement>(null);
  const fault = (field: string) => faults.find((one) => one.field === field || one.field.startsWith(`${field}[`))?.message;

  const keep = async () => {
    const missing: FieldError[] = [];
    if (url.trim() === "") missing.push({ field: "url", message: "Say where the receiver is." });
    if (which === "some" && events.length === 0) {
      missing.push({ field: "events", message: "Tick at least one, or take all events." });
    }
    const body = { url: url.trim(), description: description.trim(), events: which === "all" ? [] : events };
    const taken = await send(missing, async () =>
      onKept(await call<Endpoint>(`/webhooks${of === undefined ? "" : `/${of.id}`}`, { method: of === undefined ? "POST" : "PATCH", body })),
    );
    if (!taken) focusFault(form.current);
  };
  const tick = (event: WebhookEvent, on: boolean) => {
    // In the order in which they come to pass.
    setEvents(EVENTS.filter((one) => (one === event ? on : events.includes(one))));
    touch("events");
  };

  return (
    <Dialog title={of === undefined ? "New endpoint" : "Change the endpoint"} onClose={onClose}>
      <form
        ref={form}
        class="fields"
        noValidate
        onSubmit={(event) => {
          event.preventDefault();
          void keep();
        }}
      >
        <Field
          id="endpoint-url"
          label="URL"
          fault={fault("url")}
          hint="Public and https. A receiver on your own network has to be named in the server's configuration: webhooks.allow_hosts."
        >
          {(described) => (
            <input
              {...described}
              autofocus
              type="url"
              inputMode="url"
              autoComplete="off"
              spellcheck={false}
              placeholder="https://example.com/kinora"
              value={url}
              onInput={(event) => {
                setUrl(event.currentTarget.value);
                touch("url");
              }}
            />
          )}
        </Field>
        <Field id="endpoint-description" label="Description" fault={fault("description")} hint="For people; may stay empty.">
          {(described) => (
            <input
              {...described}
              type="text"
              autoComplete="off"
              value={description}
              onInput={(event) => {
                setDescription(event.currentTarget.value);
                touch("description");
              }}
            />
          )}
        </Field>
        <div>
          <Choices
            name="which"
            label="Told of"
            value={which}
            choices={[
              { value: "all", label: "All events" },
              { value: "some", label: "Only these" },
            ]}
            onChange={(which) => {
              setWhich(which);
              touch("events");
            }}
          />
          {which === "some" && (
            <fieldset class="ticks field" aria-describedby="events-fault">
              <legend class="unseen">Events</legend>
              {EVENTS.map((event) => (
                <label key={event}>
                  <input
                    type="checkbox"
                    checked={events.includes(event)}
                    aria-invalid={fault("events") !== undefined}
                    onChange={({ currentTarget }) => tick(event, currentTarget.checked)}
                  />
                  <span>{EVENT_NAMES[event]}</span>
                  <code>{event}</code>
                </label>
              ))}
            </fieldset>
          )}
          <FaultText id="events-fault" text={fault("events")} />
        </div>
        <Trouble text={trouble} />
        <div class="buttons">
          <button type="button" class="plain" onClick={onClose}>
            Cancel
          </button>
          <button type="submit" class="main" disabled={busy}>
            {busy ? "Sending …" : of === undefined ? "Make the endpoint" : "Keep the changes"}
          </button>
        </div>
      </form>
    </Dialog>
  );
}
