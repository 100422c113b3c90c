/** A conversation about what was said, as a pure function of what was asked and what came back. */

import type { Answer, AskEvent, Claim, Question, Stage } from "../api/ask";

export interface Turn {
  id: number;
  question: string;
  stage: Stage;
  /** What is searched for, where that is not what was asked. */
  searchedFor: string | null;
  /** As they come; those of the answer once it is there. */
  claims: readonly Claim[];
  answer: Answer | null;
  /** Why there is no answer, as a sentence. */
  error: string | null;
}

export interface AskingState {
  open: boolean;
  /** The recording that is asked about; null: all. */
  scope: string | null;
  turns: readonly Turn[];
}

export type AskingAction =
  | { type: "opened"; scope: string | null }
  | { type: "closed" }
  /** Of another recording other things are true: its conversation begins anew. */
  | { type: "scoped"; scope: string | null }
  | { type: "asked"; id: number; question: string }
  | { type: "came"; id: number; event: AskEvent }
  | { type: "failed"; id: number; error: string };

export const NOT_ASKING: AskingState = { open: false, scope: null, turns: [] };

export function reduceAsking(state: AskingState, action: AskingAction): AskingState {
  switch (action.type) {
    case "opened":
      return { ...scoped(state, action.scope), open: true };
    case "closed":
      return { ...state, open: false };
    case "scoped":
      return scoped(state, action.scope);
    case "asked": {
      const { id, question } = action;
      const turn: Turn = { id, question, stage: "searching", searchedFor: null, claims: [], answer: null, error: null };
      return { ...state, turns: [...state.turns.filter(isOver), turn] };
    }
    case "came":
      return withTurn(state, action.id, (turn) => came(turn, action.event));
    case "failed":
      return withTurn(state, action.id, (turn) => (isOver(turn) ? turn : { ...turn, error: action.error }));
  }
}

/** Answered, refused or broken off. */
export function isOver(turn: Turn): boolean {
  return turn.answer !== null || turn.error !== null;
}

/** So much of a conversation goes along with a question. */
const MOST_EXCHANGES = 8;
const MOST_CHARACTERS = 2_000;

export function questionOf({ scope, turns }: AskingState, question: string): Question {
  const history = turns
    .filter(({ answer }) => answer !== null)
    .slice(-MOST_EXCHANGES)
    .map((turn) => ({ question: turn.question, answer: turn.answer!.text.slice(0, MOST_CHARACTERS) }));
  return { question, recording_id: scope, history };
}

function scoped(state: AskingState, scope: string | null): AskingState {
  return state.scope === scope ? state : { ...state, scope, turns: [] };
}

function came(turn: Turn, event: AskEvent): Turn {
  switch (event.name) {
    case "status":
      return { ...turn, stage: event.data.stage, searchedFor: event.data.question };
    case "claim":
      return { ...turn, claims: [...turn.claims, event.data] };
    case "answer":
      return { ...turn, answer: event.data, claims: event.data.claims };
    case "error":
      return { ...turn, error: event.data.message };
    case "done":
      return isOver(turn) ? turn : { ...turn, error: "The answer broke off." };
  }
}

function withTurn(state: AskingState, id: number, change: (turn: Turn) => Turn): AskingState {
  return { ...state, turns: state.turns.map((turn) => (turn.id === id ? change(turn) : turn)) };
}
