"""The way of a message: origin, submission, plan, ledger, delivery."""
