import { useEffect, useRef, type ReactNode } from "react";

interface Props {
  label: ReactNode;
  testId?: string;
  children: ReactNode;
}

/** A button with a small sheet below it, which closes on a choice, on Escape, and when something else is pressed. */
export function Menu({ label, testId, children }: Props) {
  const menu = useRef<HTMLDetailsElement>(null);
  useEffect(() => {
    const close = (): void => {
      if (menu.current) menu.current.open = false;
    };
    const onPress = ({ target }: Event): void => {
      if (!menu.current?.contains(target as Node)) close();
    };
    const onKey = (event: KeyboardEvent): void => {
      if (event.key !== "Escape" || !menu.current?.open) return;
      close();
      menu.current.querySelector("summary")?.focus();
    };
    document.addEventListener("pointerdown", onPress);
    document.addEventListener("keydown", onKey);
    return () => {
      document.removeEventListener("pointerdown", onPress);
      document.removeEventListener("keydown", onKey);
    };
  }, []);
  return (
    <details ref={menu} className="menu" data-testid={testId}>
      <summary className="text-button">{label}</summary>
      <div
        className="menu-sheet"
        onClick={({ target }) => {
          if ((target as Element).closest("a, button") && menu.current) menu.current.open = false;
        }}
      >
        {children}
      </div>
    </details>
  );
}
