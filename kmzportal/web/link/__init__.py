"""The pages of mailed links: new password, registration, new address, first access of a clerk."""
