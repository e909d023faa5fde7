/** Latency and errors: how long calls take, how fast tokens come, what fails. */
import { lineCard, stackCard, tableCard } from "./pieces.js";

const of = stem => [[`${stem}_p50_ms`, "median"], [`${stem}_p95_ms`, "95 %"], [`${stem}_p99_ms`, "99 %"]];

export const latency = {
  title: "Latency and errors",
  steps: true,
  show(context, content) {
    content.append(
      lineCard(context, { title: "Time to the first token", note: "So long or shorter, for so many of the calls", size: "half", panel: "latency", lines: of("first_token"), type: "ms" }),
      lineCard(context, { title: "Time of whole calls", note: "So long or shorter, for so many of the calls", size: "half", panel: "latency", lines: of("total"), type: "ms" }),
      lineCard(context, { title: "Output speed", note: "Tokens a second after the first, median of the attempts", size: "half", panel: "latency", lines: [["output_per_s_p50", "median"]], type: "per_s" }),
      stackCard(context, { title: "Errors over time", note: "By what the client was told; click a bar to see its calls", size: "half", panel: "errors", by: "error", name: "error", measure: "calls" }),
      tableCard(context, {
        title: "Errors by model and code",
        size: "half",
        panel: "breakdown",
        more: { by: "error,model", limit: "1000" },
        only: row => row.name1 !== "",
        sort: { name: "calls", down: true },
        most: 15,
        nothing: "No call has failed",
        names: row => ({ error: row.name1, model: row.name2 }),
        columns: [["name1", "Error"], ["name2", "Model"], ["calls", "Calls"]],
        bar: "calls",
      }),
      tableCard(context, {
        title: "Failed attempts by cause",
        note: "Why attempts failed, and what they cost all the same",
        size: "half",
        panel: "breakdown",
        more: { by: "cause,backend", limit: "1000" },
        only: row => row.name1 !== "",
        sort: { name: "attempts", down: true },
        most: 15,
        nothing: "No attempt has failed",
        names: row => ({ backend: row.name2 }),
        columns: [["name1", "Cause"], ["name2", "Backend"], ["attempts", "Attempts"], ["cost_usd", "Cost"]],
        bar: "attempts",
      }),
    );
  },
};
