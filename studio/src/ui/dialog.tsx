// A question or a side matter above the page. The browser keeps the focus inside and gives it back.
//
// What it leaves to others: what becomes of the answer, and forms (form.tsx).
import type { ComponentChildren } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { Icon } from "./icons";

interface Props {
  title: string;
  onClose: () => void;
  children: ComponentChildren;
  wide?: boolean;
  /** Stays where it is when somebody clicks beside it: what it shows would be lost. */
  firm?: boolean;
}

export function Dialog({ title, onClose, children, wide = false, firm = false }: Props) {
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => {
    const before = document.activeElement;
    dialog.current?.showModal();
    return () => {
      // One that is taken away instead of closed would leave the focus nowhere.
      if (document.activeElement === document.body && before instanceof HTMLElement) before.focus();
    };
  }, []);
  return (
    <dialog
      ref={dialog}
      class={wide ? "wide" : ""}
      aria-label={title}
      onClose={onClose}
      // The dialog itself is hit only beside its content.
      onClick={(event) => event.target === event.currentTarget && !firm && dialog.current?.close()}
    >
      <div class="dialog">
        <header>
          <h2>{title}</h2>
          <button type="button" class="round" aria-label="Close" onClick={() => dialog.current?.close()}>
            <Icon name="close" />
          </button>
        </header>
        {children}
      </div>
    </dialog>
  );
}

/** Asks before something that cannot be taken back. */
export function Confirm({
  title,
  children,
  keep = "Keep it",
  act,
  danger = true,
  onAct,
  onClose,
}: Pick<Props, "title" | "children" | "onClose"> & { keep?: string; act: string; danger?: boolean; onAct: () => void }) {
  return (
    <Dialog title={title} onClose={onClose}>
      {children}
      <div class="buttons">
        <button type="button" class="plain" onClick={onClose}>
          {keep}
        </button>
        <button
          type="button"
          class={danger ? "main danger" : "main"}
          onClick={() => {
            onClose();
            onAct();
          }}
        >
          {act}
        </button>
      </div>
    </Dialog>
  );
}
