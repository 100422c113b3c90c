import { useEffect } from "react";
import { Link } from "wouter";
import { ArrowLeftIcon } from "../components/icons";
import { Templates } from "../settings/Templates";
import { Webhooks } from "../settings/Webhooks";

/** What is set once and then left alone. */
export default function SettingsPage() {
  useEffect(() => {
    document.title = "Settings · Parley";
  }, []);
  return (
    <main tabIndex={-1} className="column settings-page">
      <Link href="/" className="back-link">
        <ArrowLeftIcon /> Recordings
      </Link>
      <h1>Settings</h1>
      <Templates />
      <Webhooks />
    </main>
  );
}
