"""The pages of customers: login, forgotten password, account."""
