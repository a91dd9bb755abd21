// A labelled control with its hint and what is wrong with it, tied together for those who listen.
import type { ComponentChildren } from "preact";
import type { FieldError } from "../wire";

/** What is wrong with `field` itself, or with the field as a whole where it is a list. */
export function faultOf(faults: FieldError[], field: string): string | undefined {
  return faults.find((fault) => fault.field === field)?.message;
}

/** What is wrong, as a sentence: the API sends the rest of one that starts with the field. */
export function FaultText({ id, text }: { id: string; text: string | undefined }) {
  return text === undefined ? null : (
    <p class="fault" id={id}>
      {text.charAt(0).toUpperCase() + text.slice(1)}
      {!/[.!?]$/.test(text) && "."}
    </p>
  );
}

interface Props {
  id: string;
  label: string;
  hint?: ComponentChildren;
  fault?: string | undefined;
  aside?: ComponentChildren;
  children: (described: { id: string; "aria-describedby": string; "aria-invalid": boolean }) => ComponentChildren;
}

export function Field({ id, label, hint, fault, aside, children }: Props) {
  return (
    <div class="field">
      <div class="field-head">
        <label for={id}>{label}</label>
        {aside}
      </div>
      {children({ id, "aria-describedby": `${id}-hint ${id}-fault`, "aria-invalid": fault !== undefined })}
      {hint !== undefined && (
        <p class="hint" id={`${id}-hint`}>
          {hint}
        </p>
      )}
      <FaultText id={`${id}-fault`} text={fault} />
    </div>
  );
}

interface Choice<T extends string> {
  value: T;
  label: ComponentChildren;
  /** Why it cannot be chosen. */
  barred?: string | undefined;
}

/** A few values side by side: radio buttons, which browsers already know how to steer by keys. */
export function Choices<T extends string>({
  name,
  label,
  value,
  choices,
  onChange,
  fault,
}: {
  name: string;
  label: string;
  value: T;
  choices: Choice<T>[];
  onChange: (value: T) => void;
  fault?: string | undefined;
}) {
  const barred = choices.filter((choice) => choice.barred !== undefined);
  return (
    <fieldset class="field" aria-describedby={`${name}-barred ${name}-fault`}>
      <legend>{label}</legend>
      <div class="choices">
        {choices.map((choice) => (
          <label key={choice.value} class="choice" title={choice.barred}>
            <input
              type="radio"
              name={name}
              value={choice.value}
              checked={choice.value === value}
              disabled={choice.barred !== undefined}
              onChange={() => onChange(choice.value)}
            />
            <span>{choice.label}</span>
          </label>
        ))}
      </div>
      {barred.length > 0 && (
        <p class="hint" id={`${name}-barred`}>
          {barred[0]!.barred}
        </p>
      )}
      <FaultText id={`${name}-fault`} text={fault} />
    </fieldset>
  );
}

export function Switch({
  id,
  label,
  hint,
  checked,
  onChange,
  barred,
  fault,
}: {
  id: string;
  label: string;
  hint: string;
  checked: boolean;
  onChange: (checked: boolean) => void;
  barred?: string | undefined;
  fault?: string | undefined;
}) {
  return (
    <div class="field switch">
      <input
        type="checkbox"
        id={id}
        checked={checked && barred === undefined}
        disabled={barred !== undefined}
        aria-describedby={`${id}-hint ${id}-fault`}
        onChange={(event) => onChange(event.currentTarget.checked)}
      />
      <label for={id}>{label}</label>
      <p class="hint" id={`${id}-hint`}>
        {barred ?? hint}
      </p>
      <FaultText id={`${id}-fault`} text={fault} />
    </div>
  );
}
