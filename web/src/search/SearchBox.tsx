import { useEffect, useRef, useState } from "react";
import { useLocation, useSearch } from "wouter";
import { SearchIcon } from "../components/icons";
import { useKeys } from "../useKeys";
import { fromSearch, toSearch } from "./results";

/** While somebody types, results follow with this delay. */
const DELAY_MS = 250;

/** The one place to search from, at the head of every page. */
export function SearchBox() {
  const [location, navigate] = useLocation();
  const address = useSearch();
  const searching = location === "/search";
  const asked = searching ? fromSearch(address).q : "";
  const field = useRef<HTMLInputElement>(null);
  const timer = useRef<ReturnType<typeof setTimeout>>(undefined);
  const [text, setText] = useState(asked);
  const [seen, setSeen] = useState(asked);
  // Another address says what is searched; what is being typed does not wait for it.
  if (seen !== asked) {
    setSeen(asked);
    if (text.trim() !== asked) setText(asked);
  }

  useKeys({
    "/": () => {
      field.current?.focus();
      field.current?.select();
    },
  });
  useEffect(() => () => clearTimeout(timer.current), []);

  const go = (q: string): void => {
    clearTimeout(timer.current);
    const filters = searching ? fromSearch(address) : {};
    navigate(toSearch({ ...filters, q: q.trim() }), { replace: searching });
  };
  return (
    <form
      className="search-box"
      role="search"
      onSubmit={(event) => {
        event.preventDefault();
        if (text.trim() !== "") go(text);
      }}
    >
      <SearchIcon />
      <input
        ref={field}
        type="search"
        aria-label="Search what was said"
        aria-keyshortcuts="/"
        placeholder="Search"
        data-testid="search-box"
        autoComplete="off"
        maxLength={1000}
        value={text}
        onChange={({ currentTarget: { value } }) => {
          setText(value);
          clearTimeout(timer.current);
          if (searching) timer.current = setTimeout(() => go(value), DELAY_MS);
        }}
        onKeyDown={(event) => {
          if (event.key === "Escape" && text === "") field.current?.blur();
        }}
      />
      <kbd aria-hidden="true" className="key-hint">
        /
      </kbd>
    </form>
  );
}
