// The request of the form as a program.
import { mediaOf, modelOf, scalarsOf, type Draft } from "../draft";
import { Samples } from "../ui/code";
import { Dialog } from "../ui/dialog";

export function CodeDialog({ draft, onClose }: { draft: Draft; onClose: () => void }) {
  const media = mediaOf(draft);
  const files = media.some(([, medium]) => medium.kind === "file");
  return (
    <Dialog title="This request as code" onClose={onClose} wide>
      <p class="hint">
        It reads your key from <code>KINORA_API_KEY</code>
        {files ? ", and the files from the folder in which it is started." : "."}
      </p>
      <Samples id="sample" request={{ origin: location.origin, model: modelOf(draft), media, scalars: scalarsOf(draft) }} />
    </Dialog>
  );
}
