import { useEffect } from "react";
import { Link } from "wouter";

/** For an address that leads nowhere. */
export function MissingPage({ what }: { what: string }) {
  useEffect(() => {
    document.title = "Not found · Parley";
  }, []);
  return (
    <main tabIndex={-1} className="column">
      <div className="state" data-testid="missing">
        <h1>{what}</h1>
        <Link href="/" className="button">
          Go to the recordings
        </Link>
      </div>
    </main>
  );
}
