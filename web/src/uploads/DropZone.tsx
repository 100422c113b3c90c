import { useEffect, useState } from "react";
import { useServices } from "../services";

/** Files can be dropped anywhere while this is on the page; it says so while some are held over it. */
export function DropZone({ onDrop }: { onDrop: () => void }) {
  const over = useDrop(onDrop);
  if (!over) return null;
  return (
    <div className="drop-zone" data-testid="drop-zone">
      <p>Let go, and they become recordings.</p>
    </div>
  );
}

function useDrop(onDrop: () => void): boolean {
  const { uploads } = useServices();
  const [over, setOver] = useState(false);
  useEffect(() => {
    // Entering an element comes before leaving the one it is in.
    let inside = 0;
    const holdsFiles = (event: DragEvent): boolean => event.dataTransfer?.types.includes("Files") ?? false;
    const enter = (event: DragEvent): void => {
      if (!holdsFiles(event)) return;
      inside++;
      setOver(true);
    };
    const leave = (event: DragEvent): void => {
      if (holdsFiles(event) && --inside <= 0) end();
    };
    const hover = (event: DragEvent): void => {
      if (!holdsFiles(event) || !event.dataTransfer) return;
      event.preventDefault();
      event.dataTransfer.dropEffect = "copy";
    };
    const end = (): void => {
      inside = 0;
      setOver(false);
    };
    const drop = (event: DragEvent): void => {
      if (!holdsFiles(event)) return;
      event.preventDefault();
      end();
      const files = [...(event.dataTransfer?.items ?? [])]
        // A folder is no file.
        .filter((item) => item.kind === "file" && !item.webkitGetAsEntry()?.isDirectory)
        .map((item) => item.getAsFile())
        .filter((file) => file !== null);
      if (files.length === 0) return;
      void uploads.add(files);
      onDrop();
    };
    const listeners = [
      ["dragenter", enter],
      ["dragleave", leave],
      ["dragover", hover],
      ["drop", drop],
    ] as const;
    for (const [name, listener] of listeners) document.addEventListener(name, listener);
    return () => {
      for (const [name, listener] of listeners) document.removeEventListener(name, listener);
    };
  }, [onDrop, uploads]);
  return over;
}
