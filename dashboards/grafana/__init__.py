"""Dashboards for Grafana: JSON that `build` writes from the SQL of the built-in pages, and provisioning."""
