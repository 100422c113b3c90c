/** Webhooks: who is told what becomes of jobs, and the log of telling them. */

import { json, query, request } from "./client";

export const EVENTS = ["job.succeeded", "job.progressed", "job.failed", "job.dead"] as const;
export type WebhookEvent = (typeof EVENTS)[number];

export interface Webhook {
  id: string;
  url: string;
  events: WebhookEvent[];
  active: boolean;
  /** Why it is not active, where its owner did not switch it off. */
  why_off: string | null;
  created_at: string;
}

/** The one time that its secret is shown. */
export interface CreatedWebhook extends Webhook {
  secret: string;
}

export interface Delivery {
  id: string;
  event: string;
  state: "pending" | "delivered" | "failed";
  attempts: number;
  next_at: string | null;
  /** The answer's HTTP status. */
  status: number | null;
  duration_ms: number | null;
  /** The beginning of the answer. */
  response: string | null;
  error: string | null;
  created_at: string;
}

export const listWebhooks = async (): Promise<Webhook[]> =>
  (await request<{ webhooks: Webhook[] }>("/webhooks")).webhooks;

export const createWebhook = (url: string): Promise<CreatedWebhook> => request("/webhooks", json("POST", { url }));

export const switchWebhook = (id: string, active: boolean): Promise<Webhook> =>
  request(webhook(id), json("PATCH", { active }));

export const deleteWebhook = (id: string): Promise<void> => request(webhook(id), { method: "DELETE" });

export const testWebhook = (id: string): Promise<Delivery> => request(`${webhook(id)}/test`, { method: "POST" });

/** Newest first. */
export const listDeliveries = async (id: string): Promise<Delivery[]> =>
  (await request<{ deliveries: Delivery[] }>(`${webhook(id)}/deliveries${query({ limit: 20 })}`)).deliveries;

export const redeliver = (id: string): Promise<Delivery> =>
  request(`/webhooks/deliveries/${encodeURIComponent(id)}/redeliver`, { method: "POST" });

function webhook(id: string): string {
  return `/webhooks/${encodeURIComponent(id)}`;
}
