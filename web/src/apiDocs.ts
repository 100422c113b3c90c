// The page of the REST API: Swagger UI over the description that the gateway generates.
import SwaggerUIBundle from "swagger-ui-dist/swagger-ui-es-bundle.js";
import "swagger-ui-dist/swagger-ui.css";

SwaggerUIBundle({ url: "/api/docs/openapi.json", dom_id: "#api" });
