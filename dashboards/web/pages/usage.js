/** Usage: how many calls and tokens, by whom. */
import { capital } from "../parts/format.js";
import { splitBy, splitChoice, stackCard, tableCard } from "./pieces.js";

export const usage = {
  title: "Usage",
  steps: true,
  show(context, content) {
    const by = splitBy(context, "route");
    content.append(
      stackCard(context, { title: "Calls over time", note: `By ${by}; click a bar to see its calls`, size: "full", by, measure: "calls", tools: [splitChoice(context, "route")] }),
      stackCard(context, { title: "Input tokens", note: `By ${by}`, size: "half", by, measure: "input_tokens", height: 200 }),
      stackCard(context, { title: "Output tokens", note: `By ${by}`, size: "half", by, measure: "output_tokens", height: 200 }),
      stackCard(context, { title: "Tokens by kind", note: "Cached input and reasoning are counted by themselves", size: "half", panel: "kinds", by: "kind", name: "kind", measure: "tokens", height: 200 }),
      tableCard(context, {
        title: `By ${by}`,
        size: "half",
        panel: "breakdown",
        by,
        nameColumn: "name1",
        more: { limit: "12" },
        columns: [["name1", capital(by)], ["calls", "Calls"], ["errors", "Errors"], ["input_tokens", "Input"], ["cached_tokens", "Cached"], ["output_tokens", "Output"]],
        bar: "calls",
      }),
      tableCard(context, {
        title: "Users",
        note: "As named by the clients; those who spent most",
        size: "full",
        panel: "users",
        more: { limit: "25" },
        names: row => ({ user: row.user }),
        columns: ["user", "calls", "errors", ["conversations", "Conversations"], ["input_tokens", "Input"], ["output_tokens", "Output"], "cost_usd", "last"],
        bar: "cost_usd",
      }),
    );
  },
};
