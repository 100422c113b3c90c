import react from "@vitejs/plugin-react";
import { defineConfig } from "vitest/config";

// `npm run dev` serves the page and passes everything else on to a gateway (or to the double in dev/).
const gateway = process.env["PARLEY_GATEWAY_URL"] ?? "http://127.0.0.1:8000";

export default defineConfig({
  plugins: [react()],
  build: {
    target: "es2022",
    // No data: URLs, so that the gateway can serve the page under a strict content security policy.
    assetsInlineLimit: 0,
    // Two pages: the app, and the description of the REST API.
    rollupOptions: { input: ["index.html", "api.html"] },
    chunkSizeWarningLimit: 1600,
  },
  server: {
    proxy: {
      "/api": { target: gateway },
      "/ws": { target: gateway, ws: true },
    },
  },
  test: { environment: "node", include: ["src/**/*.test.ts"] },
});
