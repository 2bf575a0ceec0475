"""The pages of customers: logging in, a forgotten password, the account."""
