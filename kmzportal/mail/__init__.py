"""How mails are written and posted. The only place that knows templates/mail and mail servers."""
