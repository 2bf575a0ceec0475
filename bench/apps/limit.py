"""The limit: Flask, Flask-Login, one indexed query and raw Argon2, and nothing else that a portal needs."""

import os
import sqlite3
from functools import cache

from argon2 import PasswordHasher
from flask import Flask, redirect, request
from flask_login import LoginManager, UserMixin, current_user, login_required, login_user

PATH = os.environ["KMZPORTAL_INSTANCE_PATH"] + "/limit.db"
FORM = "<!doctype html><title>Seite</title><h1>{}</h1><form method=post><input name=email><input name=password></form>"
app, hasher = Flask(__name__), PasswordHasher()
app.secret_key, logins = "bench" * 8, LoginManager(app)
form, mine = (app.jinja_env.from_string(FORM.format(title)) for title in ("Anmelden", "{{ current_user.email }}"))


@cache
def database():
    found = sqlite3.connect(PATH, isolation_level=None, check_same_thread=False)
    return found.execute("PRAGMA synchronous=NORMAL").connection


@logins.user_loader
class Customer(UserMixin):
    def __init__(self, value, by="id"):
        found = database().execute(f"SELECT * FROM customer WHERE {by} = ?", (value,))
        self.id, self.email, self.hashed = found.fetchone()


@app.get("/login")
@app.get("/forgot", endpoint="forgot_form")
def login_form():
    return form.render()


@app.post("/login")
def login():
    customer = Customer(request.form["email"], by="email")
    hasher.verify(customer.hashed, request.form["password"])
    login_user(customer)
    return redirect("/account")


@app.get("/account")
@login_required
def account():
    return mine.render(current_user=current_user)


@app.post("/forgot")
def forgot():
    database().execute("INSERT INTO request (email) VALUES (?)", (request.form["email"],))
    return redirect("/login")


if __name__ == "__main__":
    print(hasher.hash("kirschbaum im april"))
