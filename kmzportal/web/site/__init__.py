"""Pages without login: legal information, health checks, the mailbox of the demo."""
