import { useEffect, useRef } from "react";

interface Props {
  title: string;
  placeholder: string;
  /** null: an empty title, so the first words are shown again. */
  onSave: (title: string | null) => void;
  onCancel: () => void;
}

/** A title while it is being written, in the type of the title: Enter saves, Escape leaves it as it was. */
export function TitleField({ title, placeholder, onSave, onCancel }: Props) {
  const field = useRef<HTMLInputElement>(null);
  const done = useRef(false);
  useEffect(() => {
    done.current = false;
    field.current?.focus();
    field.current?.select();
  }, []);

  const finish = (save: boolean): void => {
    if (done.current) return;
    done.current = true;
    const written = field.current?.value.trim() ?? "";
    if (save && written !== title) onSave(written || null);
    else onCancel();
  };
  return (
    <input
      ref={field}
      className="title-field"
      data-testid="title-field"
      aria-label="Title"
      defaultValue={title}
      placeholder={placeholder}
      maxLength={200}
      autoComplete="off"
      onBlur={() => finish(true)}
      onKeyDown={(event) => {
        if (event.nativeEvent.isComposing) return;
        if (event.key === "Enter") finish(true);
        if (event.key === "Escape") finish(false);
      }}
    />
  );
}
