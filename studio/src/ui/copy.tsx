// Takes a text to the clipboard.
import { useEffect, useState } from "preact/hooks";
import { Icon } from "./icons";

/** `select` marks the text where there is no clipboard: pages that were not served securely have none. */
export function CopyButton({ text, select }: { text: string; select: () => unknown }) {
  const [copied, setCopied] = useState(false);
  useEffect(() => setCopied(false), [text]);
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(text);
      setCopied(true);
    } catch {
      select();
    }
  };
  return (
    <button type="button" class="plain" onClick={() => void copy()}>
      <Icon name={copied ? "check" : "copy"} />
      {copied ? "Copied" : "Copy"}
    </button>
  );
}
