"""Programs that tests run beside the gateway: what others have written."""
