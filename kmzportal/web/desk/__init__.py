"""Kundenservice: the pages of the clerks."""
