"""What people see of the ledger: the SQL of every panel, the built-in pages, Grafana's dashboards. Data."""
