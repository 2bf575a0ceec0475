"""Composing and sending of mails. Only this package uses templates/mail and the mail server."""
