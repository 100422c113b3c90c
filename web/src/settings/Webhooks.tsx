import { useCallback, useEffect, useState, type FormEvent } from "react";
import {
  createWebhook,
  deleteWebhook,
  listDeliveries,
  listWebhooks,
  redeliver,
  switchWebhook,
  testWebhook,
  type Delivery,
  type Webhook,
} from "../api/webhooks";
import { Prose } from "../components/Prose";
import { sentence } from "../recordings/library";
import { count } from "../text/amounts";
import { day, timeOfDay } from "../text/time";
import { webAddress } from "../uploads/checks";
import { ListState } from "./ListState";
import { useLoaded } from "./useLoaded";

/** While somebody looks, what is on its way is looked after this often. */
const LOOK_MS = 2_000;

/** Addresses that are told what becomes of jobs. */
export function Webhooks() {
  const [webhooks, load] = useLoaded(listWebhooks);
  const [secret, setSecret] = useState("");
  return (
    <section aria-labelledby="webhooks-title" className="settings-part">
      <header>
        <h2 id="webhooks-title">Webhooks</h2>
      </header>
      <AddForm
        onAdded={(made) => {
          setSecret(made);
          void load();
        }}
      />
      {secret && (
        <p className="settings-secret" role="status">
          Its secret, shown this once: <code className="command">{secret}</code>
        </p>
      )}
      <ListState loaded={webhooks} onAgain={() => void load()} nothing="Nobody is told.">
        {(items) => (
          <ul className="settings-list">
            {items.map((webhook) => (
              <Row key={webhook.id} webhook={webhook} onChanged={() => void load()} />
            ))}
          </ul>
        )}
      </ListState>
    </section>
  );
}

function AddForm({ onAdded }: { onAdded: (secret: string) => void }) {
  const [address, setAddress] = useState("");
  const [problem, setProblem] = useState("");
  const add = async (event: FormEvent): Promise<void> => {
    event.preventDefault();
    const url = webAddress(address);
    if (url === null) return setProblem("This is no address of the web. One looks like https://example.com/hook.");
    try {
      onAdded((await createWebhook(url)).secret);
      setAddress("");
      setProblem("");
    } catch (error) {
      setProblem(sentence(error));
    }
  };
  return (
    <form className="import" noValidate onSubmit={(event) => void add(event)}>
      <label htmlFor="webhook-url">An address that is told when a job is done, or did not work</label>
      <div className="field-row">
        <input
          id="webhook-url"
          className="field"
          type="url"
          autoComplete="off"
          spellCheck={false}
          placeholder="https://…"
          data-testid="webhook-url"
          value={address}
          aria-invalid={problem !== ""}
          onChange={({ currentTarget: { value } }) => setAddress(value)}
        />
        <button type="submit" className="button" disabled={address.trim() === ""}>
          Add
        </button>
      </div>
      {problem && (
        <p className="problem" role="alert">
          <Prose text={problem} />
        </p>
      )}
    </form>
  );
}

function Row({ webhook, onChanged }: { webhook: Webhook; onChanged: () => void }) {
  const [open, setOpen] = useState(false);
  const [problem, setProblem] = useState("");
  const act = (action: Promise<unknown>, then: () => void): void => {
    action.then(then, (error: unknown) => setProblem(sentence(error)));
  };
  return (
    <li data-testid="webhook-item">
      <div>
        <p className="settings-name">{webhook.url}</p>
        <p className="recording-note">
          {webhook.active ? "Told" : `Off${webhook.why_off ? `: ${webhook.why_off}` : ""}`} ·{" "}
          {webhook.events.join(", ")}
        </p>
        {problem && (
          <p className="problem" role="alert">
            <Prose text={problem} />
          </p>
        )}
        <span className="settings-actions">
          <button type="button" className="text-button" aria-expanded={open} onClick={() => setOpen(!open)}>
            {open ? "Hide the log" : "Log"}
          </button>
          <button
            type="button"
            className="text-button"
            onClick={() => act(testWebhook(webhook.id), () => setOpen(true))}
          >
            Send a test
          </button>
          <button
            type="button"
            className="text-button"
            onClick={() => act(switchWebhook(webhook.id, !webhook.active), onChanged)}
          >
            {webhook.active ? "Switch off" : "Switch on"}
          </button>
          <button type="button" className="text-button" onClick={() => act(deleteWebhook(webhook.id), onChanged)}>
            Delete
          </button>
        </span>
        {open && <Log webhookId={webhook.id} />}
      </div>
    </li>
  );
}

function Log({ webhookId }: { webhookId: string }) {
  const [deliveries, load] = useLoaded(useCallback(() => listDeliveries(webhookId), [webhookId]));
  useEffect(() => {
    const timer = setInterval(() => void load(), LOOK_MS);
    return () => clearInterval(timer);
  }, [load]);
  return (
    <ListState loaded={deliveries} onAgain={() => void load()} nothing="Nothing was sent yet.">
      {(items) => (
        <ol className="delivery-log" data-testid="delivery-log">
          {items.map((delivery) => (
            <li key={delivery.id} data-state={delivery.state}>
              <span className="tabular">
                {day(delivery.created_at, new Date())} {timeOfDay(delivery.created_at)}
              </span>{" "}
              {delivery.event}: {outcome(delivery)}{" "}
              {delivery.state !== "pending" && (
                <button
                  type="button"
                  className="link-button"
                  onClick={() => void redeliver(delivery.id).then(load, load)}
                >
                  Send again
                </button>
              )}
            </li>
          ))}
        </ol>
      )}
    </ListState>
  );
}

function outcome({ state, status, error, attempts, duration_ms }: Delivery): string {
  const tried = attempts > 1 ? `, ${count(attempts, "attempt")}` : "";
  const took = duration_ms === null ? "" : ` in ${duration_ms} ms`;
  if (state === "delivered") return `answered with ${status}${took}${tried}`;
  if (state === "pending") return attempts > 0 ? `${error ?? "it did not work"}${tried}, tried again` : "on its way";
  return `given up${tried}. ${error ?? ""}`;
}
