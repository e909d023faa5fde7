"""The gateway: takes a call, asks the policies, chooses a target, relays the answer, counts what it cost."""
