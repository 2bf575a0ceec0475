"""Pages that need no account: legal information, health check, the mailbox of the demo."""
