// A secret that the server shows now and never again: to be taken along before the dialog is closed.
import type { ComponentChildren } from "preact";
import { useRef } from "preact/hooks";
import { CopyButton } from "./copy";
import { Dialog } from "./dialog";
import { Field } from "./field";
import { Icon } from "./icons";

/** One line to copy. */
export function Secret({ id, label, text, autofocus = false }: { id: string; label: string; text: string; autofocus?: boolean }) {
  const line = useRef<HTMLInputElement>(null);
  return (
    <Field id={id} label={label}>
      {(described) => (
        <div class="with-button">
          <input
            {...described}
            ref={line}
            autofocus={autofocus}
            class="secret"
            type="text"
            readOnly
            value={text}
            onFocus={(event) => event.currentTarget.select()}
          />
          <CopyButton text={text} select={() => line.current?.select()} />
        </div>
      )}
    </Field>
  );
}

interface Props {
  title: string;
  label: string;
  secret: string;
  children: ComponentChildren;
  onClose: () => void;
}

export function SecretDialog({ title, label, secret, children, onClose }: Props) {
  return (
    <Dialog title={title} onClose={onClose} firm>
      <Secret id="secret" label={label} text={secret} autofocus />
      <p class="notice once">
        <Icon name="warn" />
        <span>Copy it now: it will not be shown again.</span>
      </p>
      <div class="hint">{children}</div>
      <div class="buttons">
        <button type="button" class="main" onClick={onClose}>
          Done
        </button>
      </div>
    </Dialog>
  );
}
