import { useRef, useState, type FormEvent } from "react";
import { importUrl } from "../api/jobs";
import { Prose } from "../components/Prose";
import { sentence } from "../recordings/library";
import { useServices } from "../services";
import { webAddress } from "./checks";

/** Where files and addresses come in. */
export function AddPanel({ onDone }: { onDone: () => void }) {
  const { uploads } = useServices();
  const picker = useRef<HTMLInputElement>(null);
  return (
    <div className="adding" data-testid="adding">
      <p>
        Drop sound or video anywhere on this page, or{" "}
        <button type="button" className="link-button" autoFocus onClick={() => picker.current?.click()}>
          choose files
        </button>
        . They become recordings, with everything that was said.
      </p>
      <input
        ref={picker}
        className="for-ears"
        type="file"
        multiple
        accept="audio/*,video/*,.mp3,.wav,.m4a,.aac,.flac,.ogg,.opus,.webm,.mp4"
        aria-label="Files"
        tabIndex={-1}
        data-testid="file-picker"
        onChange={({ currentTarget }) => {
          void uploads.add([...(currentTarget.files ?? [])]);
          currentTarget.value = "";
          onDone();
        }}
      />
      <ImportForm onDone={onDone} />
    </div>
  );
}

function ImportForm({ onDone }: { onDone: () => void }) {
  const { library, board } = useServices();
  const [address, setAddress] = useState("");
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState("");

  const onSubmit = async (event: FormEvent): Promise<void> => {
    event.preventDefault();
    const url = webAddress(address);
    if (url === null) return setProblem("This is no address of the web. One looks like https://example.com/talk.mp3.");
    setBusy(true);
    setProblem("");
    try {
      const { recording } = await importUrl(url);
      await Promise.all([library.refresh(recording.id), board.findFor(recording.id)]);
      setAddress("");
      onDone();
    } catch (error) {
      setProblem(sentence(error));
    } finally {
      setBusy(false);
    }
  };
  return (
    <form className="import" onSubmit={(event) => void onSubmit(event)} noValidate>
      <label htmlFor="import-url">Or fetch it from an address</label>
      <div className="field-row">
        <input
          id="import-url"
          className="field"
          type="url"
          inputMode="url"
          autoComplete="off"
          spellCheck={false}
          placeholder="https://…"
          data-testid="import-url"
          value={address}
          aria-invalid={problem !== ""}
          aria-describedby={problem ? "import-problem" : undefined}
          onChange={(event) => {
            setAddress(event.currentTarget.value);
            setProblem("");
          }}
        />
        <button type="submit" className="button" disabled={busy || address.trim() === ""}>
          {busy ? "Asking" : "Fetch it"}
        </button>
      </div>
      {problem && (
        <p id="import-problem" className="problem" role="alert" data-testid="import-problem">
          <Prose text={problem} />
        </p>
      )}
    </form>
  );
}
