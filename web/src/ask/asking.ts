/** Asking about what was said: one conversation, one question at a time. */

import { ask } from "../api/ask";
import { sentence } from "../recordings/library";
import { NOT_ASKING, questionOf, reduceAsking, type AskingAction, type AskingState } from "./state";

export class Asking {
  #state: AskingState = NOT_ASKING;
  #count = 0;
  #abort: AbortController | null = null;
  readonly #listeners = new Set<() => void>();

  readonly subscribe = (listener: () => void): (() => void) => {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  };

  readonly snapshot = (): AskingState => this.#state;

  /** Opens the sheet, about recording `scope` or (null) all of them, and asks `question` at once where there is one. */
  open(scope: string | null, question = ""): void {
    if (scope !== this.#state.scope) this.#abort?.abort();
    this.#dispatch({ type: "opened", scope });
    if (question.trim() !== "") void this.ask(question);
  }

  close(): void {
    this.#dispatch({ type: "closed" });
  }

  about(scope: string | null): void {
    this.#abort?.abort();
    this.#dispatch({ type: "scoped", scope });
  }

  async ask(question: string): Promise<void> {
    this.#abort?.abort();
    const abort = new AbortController();
    this.#abort = abort;
    const id = ++this.#count;
    const asked = questionOf(this.#state, question.trim());
    this.#dispatch({ type: "asked", id, question: asked.question });
    try {
      for await (const event of ask(asked, abort.signal)) this.#dispatch({ type: "came", id, event });
      this.#dispatch({ type: "came", id, event: { name: "done", data: {} } });
    } catch (error) {
      if (!abort.signal.aborted) this.#dispatch({ type: "failed", id, error: sentence(error) });
    }
  }

  #dispatch(action: AskingAction): void {
    const next = reduceAsking(this.#state, action);
    if (next === this.#state) return;
    this.#state = next;
    for (const listener of this.#listeners) listener();
  }
}
