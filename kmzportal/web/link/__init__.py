"""The pages of mailed links: a new password, registration, a new address, a clerk's first access."""
